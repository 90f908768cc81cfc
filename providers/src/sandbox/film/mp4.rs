//! The container of a film: one silent video track, its table of contents in front so that
//! playing can start before the file is here.

use mp4_atom::{
    Avc1, Avcc, Codec, Dinf, Dref, DrefEntry, Encode as _, Error, FourCC, Ftyp, Hdlr, Mdat, Mdhd,
    Mdia, Minf, Moov, Mvhd, Stbl, Stco, Stsc, StscEntry, Stsd, Stss, Stsz, StszSamples, Stts,
    SttsEntry, Tkhd, Trak, Url, Visual, Vmhd,
};

/// Ticks of the clock that durations are counted in, per frame; a multiple of a thousand
/// frames a second divides evenly whatever the rate.
const TICKS_PER_FRAME: u32 = 1000;
/// Size and kind, in front of the data.
const BOX_HEADER: usize = 8;
const LENGTH_SIZE: usize = 4;

/// The kinds of H.264 units that matter to a container.
const KEY_SLICE: u8 = 5;
const SEQUENCE_PARAMETERS: u8 = 7;
const PICTURE_PARAMETERS: u8 = 8;

/// A track that frames are added to.
pub(super) struct Track {
    width: u16,
    height: u16,
    frames_per_second: u32,
    sequence_parameters: Vec<u8>,
    picture_parameters: Vec<u8>,
    sizes: Vec<u32>,
    /// Numbers of the frames that can be shown without those before, counted from 1.
    key_frames: Vec<u32>,
    data: Vec<u8>,
}

impl Track {
    pub(super) fn new(size: (u32, u32), frames_per_second: u32) -> Self {
        Self {
            width: size.0 as u16,
            height: size.1 as u16,
            frames_per_second,
            sequence_parameters: Vec::new(),
            picture_parameters: Vec::new(),
            sizes: Vec::new(),
            key_frames: Vec::new(),
            data: Vec::new(),
        }
    }

    /// Adds a frame as it comes from the encoder: units behind start codes. Parameters go
    /// to the table of contents, where the format wants them.
    pub(super) fn push(&mut self, stream: &[u8]) {
        let start = self.data.len();
        let mut is_key = false;
        for unit in units(stream) {
            match unit[0] & 0x1f {
                SEQUENCE_PARAMETERS => self.sequence_parameters = unit.to_vec(),
                PICTURE_PARAMETERS => self.picture_parameters = unit.to_vec(),
                kind => {
                    is_key |= kind == KEY_SLICE;
                    self.data.extend((unit.len() as u32).to_be_bytes());
                    self.data.extend(unit);
                }
            }
        }
        self.sizes.push((self.data.len() - start) as u32);
        if is_key {
            self.key_frames.push(self.sizes.len() as u32);
        }
    }

    /// The whole file.
    pub(super) fn finish(self) -> Result<Vec<u8>, Error> {
        let mut file = Vec::new();
        let ftyp = Ftyp {
            major_brand: FourCC::new(b"isom"),
            minor_version: 0x200,
            compatible_brands: [b"isom", b"iso2", b"avc1", b"mp41"].map(FourCC::new).to_vec(),
        };
        ftyp.encode(&mut file)?;
        // The table says where the data begins, which depends on the length of the table.
        let mut table = Vec::new();
        self.contents(0)?.encode(&mut table)?;
        let begin = file.len() + table.len() + BOX_HEADER;
        self.contents(begin as u32)?.encode(&mut file)?;
        Mdat { data: self.data }.encode(&mut file)?;
        Ok(file)
    }

    fn contents(&self, begin: u32) -> Result<Moov, Error> {
        let frames = self.sizes.len() as u32;
        let timescale = self.frames_per_second * TICKS_PER_FRAME;
        let duration = u64::from(frames * TICKS_PER_FRAME);
        let mut mvhd = Mvhd { timescale, duration, next_track_id: 2, ..Mvhd::default() };
        mvhd.rate = 1.into();
        mvhd.volume = 1.into();
        let tkhd = Tkhd {
            track_id: 1,
            duration,
            enabled: true,
            in_movie: true,
            width: self.width.into(),
            height: self.height.into(),
            ..Tkhd::default()
        };
        let mdhd = Mdhd { timescale, duration, language: "und".to_owned(), ..Mdhd::default() };
        let mdia = Mdia {
            mdhd,
            hdlr: Hdlr { handler: FourCC::new(b"vide"), name: "VideoHandler".to_owned() },
            minf: Minf {
                vmhd: Some(Vmhd::default()),
                // Without a location: the data is in this file.
                dinf: Dinf { dref: Dref { entries: vec![DrefEntry::Url(Url::default())] } },
                stbl: self.samples(begin)?,
                ..Minf::default()
            },
        };
        Ok(Moov { mvhd, trak: vec![Trak { tkhd, mdia, ..Trak::default() }], ..Moov::default() })
    }

    /// Where each frame is: all in one chunk, one after the other.
    fn samples(&self, begin: u32) -> Result<Stbl, Error> {
        let frames = self.sizes.len() as u32;
        let avc1 = Avc1 {
            visual: Visual {
                data_reference_index: 1,
                width: self.width,
                height: self.height,
                ..Visual::default()
            },
            avcc: Avcc {
                length_size: LENGTH_SIZE as u8,
                ..Avcc::new(&self.sequence_parameters, &self.picture_parameters)?
            },
            ..Avc1::default()
        };
        Ok(Stbl {
            stsd: Stsd { codecs: vec![Codec::Avc1(avc1)] },
            stts: Stts {
                entries: vec![SttsEntry { sample_count: frames, sample_delta: TICKS_PER_FRAME }],
            },
            stss: Some(Stss { entries: self.key_frames.clone() }),
            stsc: Stsc {
                entries: vec![StscEntry {
                    first_chunk: 1,
                    samples_per_chunk: frames,
                    sample_description_index: 1,
                }],
            },
            stsz: Stsz { samples: StszSamples::Different { sizes: self.sizes.clone() } },
            stco: Some(Stco { entries: vec![begin] }),
            ..Stbl::default()
        })
    }
}

/// The units of a stream in which each follows a start code of two or three zeros and a one.
fn units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut starts = Vec::new();
    let mut at = 0;
    while at + 3 <= stream.len() {
        if stream[at..at + 3] == [0, 0, 1] {
            starts.push(at + 3);
            at += 3;
        } else {
            at += 1;
        }
    }
    let ends: Vec<usize> =
        starts.iter().skip(1).map(|start| start - 3).chain([stream.len()]).collect();
    starts.into_iter().zip(ends).filter_map(|(start, end)| {
        // A unit ends in a one bit, so zeros at its end belong to the next start code.
        let unit = &stream[start..end];
        let length = unit.iter().rposition(|byte| *byte != 0)? + 1;
        Some(&unit[..length])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_codes_of_both_lengths_are_taken_away() {
        let stream = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 0, 1, 0x65, 4];
        let found: Vec<&[u8]> = units(&stream).collect();
        assert_eq!(found, [&[0x67, 1, 2][..], &[0x68, 3], &[0x65, 4]]);
        assert_eq!(units(&[]).count(), 0);
        assert_eq!(units(&[0, 0, 1]).count(), 0);
    }
}
