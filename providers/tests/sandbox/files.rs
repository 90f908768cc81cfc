//! The files themselves, read back.

use image::{GenericImageView as _, ImageFormat};
use mp4_atom::{Any, Codec, Decode as _, StszSamples};
use providers::{MediaKind, OutputFormat};
use serde_json::json;

use crate::support::{Sandboxes, bytes, file_in_memory, submit_inline};

#[tokio::test]
async fn pictures_decode_in_the_asked_format_and_ratio() {
    let sandboxes = Sandboxes::start();
    for (format, decoded) in [
        (OutputFormat::Png, ImageFormat::Png),
        (OutputFormat::Jpg, ImageFormat::Jpeg),
        (OutputFormat::Webp, ImageFormat::WebP),
    ] {
        for (ratio, w, h) in [("1:1", 1, 1), ("16:9", 16, 9), ("3:4", 3, 4), ("21:9", 21, 9)] {
            let mut request = sandboxes.request(json!({}));
            (request.format, request.ratio) = (format, ratio.to_owned());
            let output = submit_inline(&sandboxes.inline, &request).await;
            let (found, file) = file_in_memory(&output.files[0]);
            assert_eq!(found, format);
            assert_eq!(image::guess_format(file).unwrap(), decoded);
            let (width, height) = image::load_from_memory(file).unwrap().dimensions();
            assert_eq!(width * h, height * w, "{ratio}");
        }
    }
}

#[tokio::test]
async fn prompt_and_seed_and_place_change_a_picture_and_nothing_else_does() {
    let sandboxes = Sandboxes::start();
    let mut request = sandboxes.request(json!({"generation_seed": 1}));
    request.count = 3;
    let first = submit_inline(&sandboxes.inline, &request).await;
    assert_eq!(first.files.len(), 3);
    assert_ne!(bytes(&first)[0], bytes(&first)[1]);
    assert_ne!(bytes(&first)[1], bytes(&first)[2]);

    let mut again = sandboxes.request(json!({"generation_seed": 1}));
    again.count = 3;
    let second = submit_inline(&sandboxes.inline, &again).await;
    assert_eq!(bytes(&first), bytes(&second));

    again.options.insert("generation_seed".to_owned(), json!(2));
    let third = submit_inline(&sandboxes.inline, &again).await;
    assert_ne!(bytes(&first)[0], bytes(&third)[0]);
}

#[tokio::test]
async fn a_film_has_the_asked_length_and_ratio_and_its_contents_in_front() {
    let sandboxes = Sandboxes::start();
    for (ratio, resolution, duration_ms, size, frames) in [
        ("16:9", Some("480p"), Some(4000), (320, 180), 48),
        ("9:16", Some("720p"), None, (234, 416), 60),
        ("1:1", None, Some(10), (240, 240), 1),
    ] {
        let mut request = sandboxes.request(json!({}));
        (request.media, request.format) = (MediaKind::Video, OutputFormat::Mp4);
        (request.ratio, request.duration_ms) = (ratio.to_owned(), duration_ms);
        request.resolution = resolution.map(str::to_owned);
        request.audio = Some(true);
        let output = submit_inline(&sandboxes.inline, &request).await;
        let file = bytes(&output)[0];

        let mut rest = file;
        let Any::Ftyp(_) = Any::decode(&mut rest).unwrap() else { panic!("ftyp comes first") };
        let Any::Moov(moov) = Any::decode(&mut rest).unwrap() else { panic!("then moov") };
        let begin = file.len() - rest.len() + 8;
        let Any::Mdat(mdat) = Any::decode(&mut rest).unwrap() else { panic!("then mdat") };
        assert!(rest.is_empty());

        let mdia = &moov.trak[0].mdia;
        let table = &mdia.minf.stbl;
        assert_eq!(mdia.mdhd.duration * 12, u64::from(mdia.mdhd.timescale) * frames);
        assert_eq!(moov.mvhd.duration * 12, u64::from(moov.mvhd.timescale) * frames);
        let Codec::Avc1(avc1) = &table.stsd.codecs[0] else { panic!("avc1 was expected") };
        assert_eq!((avc1.visual.width, avc1.visual.height), size);
        assert_eq!(table.stco.as_ref().unwrap().entries, [begin as u32]);
        assert_eq!(table.stss.as_ref().unwrap().entries[0], 1);
        let StszSamples::Different { sizes } = &table.stsz.samples else { panic!("sizes") };
        assert_eq!(sizes.len() as u64, frames);
        assert_eq!(sizes.iter().sum::<u32>() as usize, mdat.data.len());
    }
}

#[tokio::test]
async fn every_picture_of_a_film_decodes() {
    let sandboxes = Sandboxes::start();
    let mut request = sandboxes.request(json!({}));
    (request.media, request.format) = (MediaKind::Video, OutputFormat::Mp4);
    request.duration_ms = Some(1000);
    let output = submit_inline(&sandboxes.inline, &request).await;
    let again = submit_inline(&sandboxes.inline, &request).await;
    assert_eq!(bytes(&output), bytes(&again));

    let mut rest = bytes(&output)[0];
    let (mut parameters, mut sizes, mut data) = (Vec::new(), Vec::new(), Vec::new());
    while !rest.is_empty() {
        match Any::decode(&mut rest).unwrap() {
            Any::Moov(moov) => {
                let table = moov.trak[0].mdia.minf.stbl.clone();
                let Codec::Avc1(avc1) = &table.stsd.codecs[0] else { panic!("avc1") };
                parameters.extend(avc1.avcc.sequence_parameter_sets.clone());
                parameters.extend(avc1.avcc.picture_parameter_sets.clone());
                let StszSamples::Different { sizes: all } = table.stsz.samples else { panic!() };
                sizes = all;
            }
            Any::Mdat(mdat) => data = mdat.data,
            _ => {}
        }
    }
    let mut decoder = openh264::decoder::Decoder::new().unwrap();
    for unit in parameters {
        decoder.decode(&[&[0, 0, 0, 1], unit.as_slice()].concat()).unwrap();
    }
    let mut decoded = 0;
    let mut rest = data.as_slice();
    for size in sizes {
        let (mut sample, after) = rest.split_at(size as usize);
        let mut stream = Vec::new();
        while let Some((length, unit)) = sample.split_first_chunk::<4>() {
            let (unit, next) = unit.split_at(u32::from_be_bytes(*length) as usize);
            stream.extend([0, 0, 0, 1]);
            stream.extend(unit);
            sample = next;
        }
        decoded += usize::from(decoder.decode(&stream).unwrap().is_some());
        rest = after;
    }
    assert_eq!(decoded, 12);
}
