//! The least of fragmented MP4 that tells all that the rules look at.

/// What is written of one track.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Track {
    pub(crate) video: bool,
    pub(crate) timescale: u32,
    /// Ticks of each sample.
    pub(crate) ticks: u32,
}

fn boxed(name: &[u8; 4], content: &[&[u8]]) -> Vec<u8> {
    let length = 8 + content.iter().map(|piece| piece.len()).sum::<usize>();
    let mut out = u32::try_from(length).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(name);
    content.iter().for_each(|piece| out.extend_from_slice(piece));
    out
}

pub(crate) fn init(track: Track) -> Vec<u8> {
    let number = |value: u32| value.to_be_bytes();
    let tkhd = boxed(b"tkhd", &[&number(7), &[0; 8], &number(1), &[0; 68]]);
    let mdhd = boxed(b"mdhd", &[&[0; 12], &number(track.timescale), &[0; 8]]);
    let handler: &[u8; 4] = if track.video { b"vide" } else { b"soun" };
    let hdlr = boxed(b"hdlr", &[&[0; 8], handler, &[0; 13]]);
    let entry = if track.video {
        let avcc = boxed(b"avcC", &[&[1, 0x64, 0, 0x1f, 0xff, 0xe0, 0]]);
        let size = [1280_u16.to_be_bytes(), 720_u16.to_be_bytes()].concat();
        boxed(b"avc1", &[&[0; 24], &size, &[0; 50], &avcc])
    } else {
        let es =
            [3, 22, 0, 0, 0, 4, 17, 0x40, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 2, 0x11, 0x90];
        let esds = boxed(b"esds", &[&[0; 4], &es]);
        boxed(b"mp4a", &[&[0; 28], &esds])
    };
    let stsd = boxed(b"stsd", &[&number(0), &number(1), &entry]);
    let minf = boxed(b"minf", &[&boxed(b"stbl", &[&stsd])]);
    let trak = boxed(b"trak", &[&tkhd, &boxed(b"mdia", &[&mdhd, &hdlr, &minf])]);
    let trex = boxed(b"trex", &[&number(0), &number(1), &number(1), &[0; 12]]);
    let moov = boxed(b"moov", &[&trak, &boxed(b"mvex", &[&trex])]);
    [boxed(b"ftyp", &[b"iso6", &number(0), b"cmfc"]), moov].concat()
}

/// A part: `count` samples from decode time `start` on; `key` marks the first as an IDR picture.
pub(crate) fn part(track: Track, start: u64, count: u32, key: bool) -> Vec<u8> {
    let sample = |index: u32| -> Vec<u8> {
        let kind = if !track.video {
            0xff
        } else if key && index == 0 {
            0x65
        } else {
            0x41
        };
        let mut unit = vec![kind; 40];
        unit[1..9].copy_from_slice(&(start + u64::from(index)).to_be_bytes());
        [40_u32.to_be_bytes().to_vec(), unit].concat()
    };
    let mut trun = Vec::new();
    for index in 0..count {
        let sync = !track.video || (key && index == 0);
        let flags: u32 = if sync { 0x0200_0000 } else { 0x0101_0000 };
        for value in [track.ticks, 44, flags] {
            trun.extend_from_slice(&value.to_be_bytes());
        }
    }
    let tfhd = boxed(b"tfhd", &[&0x02_0000_u32.to_be_bytes(), &1_u32.to_be_bytes()]);
    let tfdt = boxed(b"tfdt", &[&[1, 0, 0, 0], &start.to_be_bytes()]);
    let mfhd = boxed(b"mfhd", &[&[0; 8]]);
    let moof = |offset: u32| {
        let head = [0x701_u32, count, offset].map(u32::to_be_bytes).concat();
        let trun = boxed(b"trun", &[&head, &trun]);
        boxed(b"moof", &[&mfhd, &boxed(b"traf", &[&tfhd, &tfdt, &trun])])
    };
    let offset = u32::try_from(moof(0).len()).unwrap() + 8;
    let data: Vec<u8> = (0..count).flat_map(sample).collect();
    [moof(offset), boxed(b"mdat", &[&data])].concat()
}
