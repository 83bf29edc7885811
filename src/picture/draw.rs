//! Drawing: colours that move, the clock's blocks, the flash.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Luma of a 1 and of a 0.
const WHITE: u8 = 235;
const BLACK: u8 = 16;
/// Blocks of the clock: 4 to find it, 32 of time, 4 to check it.
const BLOCKS: usize = 40;

/// Now, since 1970.
pub(super) fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The first tenth of a second.
pub(super) fn flashes(at: Duration) -> bool {
    at.subsec_millis() < 100
}

/// The clock's blocks for a time: true is white.
pub(super) fn blocks(at: Duration) -> [bool; BLOCKS] {
    let time = u64::try_from(at.as_millis()).unwrap_or(u64::MAX) & 0xffff_ffff;
    let check = (0..8).fold(0, |check, nibble| check ^ (time >> (4 * nibble)) & 0xf);
    let code = 0b1010 << 36 | time << 4 | check;
    std::array::from_fn(|block| code >> (BLOCKS - 1 - block) & 1 == 1)
}

/// Pictures in I420, one after the other.
pub(super) struct Canvas {
    width: usize,
    height: usize,
    still: Vec<u8>,
}

impl Canvas {
    pub(super) fn new(width: u32, height: u32) -> Self {
        let (width, height) = (width as usize, height as usize);
        let mut still = vec![0; width * height * 3 / 2];
        let (luma, chroma) = still.split_at_mut(width * height);
        for (y, row) in luma.chunks_mut(width).enumerate() {
            for (x, pixel) in row.iter_mut().enumerate() {
                *pixel = level(x * 120 / width + y * 60 / height, 40);
            }
        }
        let (half_width, quarter) = (width / 2, width * height / 4);
        for (at, pixel) in chroma.iter_mut().enumerate() {
            let (plane, at) = (at / quarter, at % quarter);
            let (x, y) = (at % half_width * 96 / half_width, at / half_width * 192 / height);
            *pixel = if plane == 0 { level(x, 80) } else { level(y, 80) };
        }
        Self { width, height, still }
    }

    /// The picture of frame `number`, which is shown at `at`.
    pub(super) fn draw(&self, number: u64, at: Duration) -> Vec<u8> {
        let mut picture = self.still.clone();
        let luma = &mut picture[..self.width * self.height];
        let (width, top) = (self.width, self.height / 12);

        let clock = blocks(at);
        for row in luma.chunks_mut(width).take(top) {
            for (block, white) in clock.into_iter().enumerate() {
                let (from, to) = (block * width / BLOCKS, (block + 1) * width / BLOCKS);
                row[from..to].fill(if white { WHITE } else { BLACK });
            }
        }
        // A bar that crosses the picture in four seconds, and a box that bounces: motion for the eye and the encoder.
        let phase = usize::try_from(at.as_millis() % 4000).unwrap_or(0);
        let side = self.height / 6;
        let bar = phase * (width - width / 40) / 4000;
        fill(luma, width, (bar, top), (width / 40, self.height - top), 200);
        let swing = usize::try_from(number % 240).unwrap_or(0).abs_diff(120);
        let y = top + side / 2 + swing * (self.height - top - 2 * side) / 120;
        fill(luma, width, (width / 3, y), (side, side), 90);
        let flash = if flashes(at) { WHITE } else { BLACK };
        fill(luma, width, (width - 2 * side, self.height - 2 * side), (side, side), flash);
        picture
    }
}

fn level(steps: usize, from: u8) -> u8 {
    from.saturating_add(u8::try_from(steps).unwrap_or(u8::MAX))
}

fn fill(luma: &mut [u8], width: usize, from: (usize, usize), size: (usize, usize), value: u8) {
    for row in luma.chunks_mut(width).skip(from.1).take(size.1) {
        let end = (from.0 + size.0).min(width);
        row[from.0.min(end)..end].fill(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blocks_are_sync_time_and_check() {
        let at = Duration::from_millis(0x1_8000_0001);
        let text: String = blocks(at).iter().map(|&white| if white { '1' } else { '0' }).collect();
        assert_eq!(text, "1010100000000000000000000000000000011001");
    }
}
