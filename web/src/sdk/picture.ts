/** Tells which picture an element shows. */

/** HTMLMediaElement.HAVE_CURRENT_DATA: there is a picture. */
const HAS_PICTURE = 2;
/** A hidden page draws nothing: it is asked this often instead. */
const ASK_MS = 250;

/**
 * Calls `shown` with the media time of each picture, in seconds, until `signal` aborts: at its presentation where the browser
 * tells of it (`requestVideoFrameCallback`), else with each frame of the page.
 */
export function watchPicture(video: HTMLVideoElement, shown: (time: number) => void, signal: AbortSignal): void {
  let drawnAt = -Infinity;
  const next = (): void => {
    // Firefox before 132 has none, though types say so.
    if (typeof video.requestVideoFrameCallback === 'function') video.requestVideoFrameCallback((_, { mediaTime }) => draw(mediaTime));
    else requestAnimationFrame(() => draw(video.currentTime));
  };
  const draw = (time: number): void => {
    if (signal.aborted) return;
    drawnAt = performance.now();
    if (video.readyState >= HAS_PICTURE) shown(time);
    next();
  };
  next();
  const timer = setInterval(() => {
    const drawn = performance.now() - drawnAt < ASK_MS;
    if (!drawn && !video.seeking && video.readyState >= HAS_PICTURE) shown(video.currentTime);
  }, ASK_MS);
  signal.addEventListener('abort', () => clearInterval(timer));
}
