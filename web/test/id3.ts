/** An ID3v2.4 tag of `TXXX` frames, encoding 3, as the text at id3.org has it; written apart from what reads it. */
export function tag(...texts: [description: string, value: string][]): Uint8Array {
  const size = (length: number): number[] => [21, 14, 7, 0].map((bits) => (length >> bits) & 127);
  const frames = texts.flatMap(([description, value]) => {
    const body = [3, ...new TextEncoder().encode(description), 0, ...new TextEncoder().encode(value)];
    return [...Buffer.from('TXXX'), ...size(body.length), 0, 0, ...body];
  });
  return Uint8Array.from([...Buffer.from('ID3'), 4, 0, 0, ...size(frames.length), ...frames]);
}
