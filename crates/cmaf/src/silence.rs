//! A silent AAC frame for any channel configuration, spelled out from the syntax (ISO 14496-3 §4.4.2.1).

use bytes::Bytes;

/// Three-bit id_syn_ele of a raw_data_block.
const SINGLE_CHANNEL: u32 = 0;
const CHANNEL_PAIR: u32 = 1;
const LFE: u32 = 3;
const END: u32 = 7;

/// The elements of a frame, by channel_configuration (table 1.19).
const fn elements(channels: u8) -> &'static [u32] {
    match channels {
        1 => &[SINGLE_CHANNEL],
        2 => &[CHANNEL_PAIR],
        3 => &[SINGLE_CHANNEL, CHANNEL_PAIR],
        4 => &[SINGLE_CHANNEL, CHANNEL_PAIR, SINGLE_CHANNEL],
        5 => &[SINGLE_CHANNEL, CHANNEL_PAIR, CHANNEL_PAIR],
        6 => &[SINGLE_CHANNEL, CHANNEL_PAIR, CHANNEL_PAIR, LFE],
        7 => &[SINGLE_CHANNEL, CHANNEL_PAIR, CHANNEL_PAIR, CHANNEL_PAIR, LFE],
        _ => &[],
    }
}

/// The raw data block of 1024 silent samples: every channel with no spectral line at all.
pub(crate) fn silent_frame(channels: u8) -> Bytes {
    let mut bits = Bits::default();
    // How many elements of each kind came before: their element_instance_tag.
    let mut seen = [0; 4];
    for &element in elements(channels) {
        bits.put(element, 3);
        bits.put(seen[element as usize], 4);
        seen[element as usize] += 1;
        // global_gain comes before ics_info where a channel has its own; pulse, TNS and gain control
        // data are flagged absent behind it.
        if element == CHANNEL_PAIR {
            bits.put(1, 1); // common_window
            bits.put_ics_info();
            bits.put(0, 2); // ms_mask_present
            bits.put(0, 2 * (8 + 3));
        } else {
            bits.put(0, 8);
            bits.put_ics_info();
            bits.put(0, 3);
        }
    }
    bits.put(END, 3);
    bits.bytes.into()
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: usize,
}

impl Bits {
    /// A long sine window without scale factor bands: max_sfb 0 leaves nothing else to code.
    fn put_ics_info(&mut self) {
        self.put(0, 1 + 2 + 1 + 6 + 1);
    }

    fn put(&mut self, value: u32, width: u32) {
        for shift in (0..width).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if value >> shift & 1 == 1
                && let Some(last) = self.bytes.last_mut()
            {
                *last |= 0x80 >> (self.used % 8);
            }
            self.used += 1;
        }
    }
}
