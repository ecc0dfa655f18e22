//! A number in a picture that a machine reads back, also after lossy coding and scaling.
//!
//! A band across the top of the picture has 32 bars of equal width, black for 0 and white for 1:
//!
//! ```text
//! | 1 0 1 0 | 16 bits of the number, highest first | 8 bits of their CRC | 0 1 0 1 |
//! ```
//!
//! The guards at both ends say what black and white look like, and that there is a bar code at all.

use crate::picture::{Area, Colour, HEIGHT, Picture, WIDTH};

/// Height of the band: so much of a picture's height, wherever it was scaled to.
pub const BAND_HEIGHT: usize = HEIGHT / 8;

const BARS: usize = 32;
const LEFT_GUARD: u32 = 0b1010;
const RIGHT_GUARD: u32 = 0b0101;
/// Black and white are at least so far apart, or it is no bar code.
const CONTRAST_MIN: u32 = 64;

/// Draws the number across the top of the picture.
pub fn write(picture: &mut Picture, number: u16) {
    let bars = LEFT_GUARD << 28 | u32::from(number) << 12 | u32::from(checksum(number)) << 4 | RIGHT_GUARD;
    let width = WIDTH / BARS;
    for bar in 0..BARS {
        let colour = if bars >> (BARS - 1 - bar) & 1 == 1 { Colour::WHITE } else { Colour::BLACK };
        picture.fill(Area { x: bar * width, y: 0, width, height: BAND_HEIGHT }, colour);
    }
}

/// Reads the number from the brightness of a picture of any size; `None` where there is no bar code, or a damaged one.
pub fn read(luma: &[u8], width: usize) -> Option<u16> {
    let height = luma.len().checked_div(width)?;
    if width < BARS * 3 || height < 24 {
        return None;
    }
    let levels: [u32; BARS] = std::array::from_fn(|bar| level(luma, width, height, bar));
    let bars = bits(&levels)?;
    let number = (bars >> 12) as u16;
    let guarded = bars >> 28 == LEFT_GUARD && bars & 0xF == RIGHT_GUARD;
    (guarded && (bars >> 4) as u8 == checksum(number)).then_some(number)
}

/// The mean brightness of the middle of one bar.
fn level(luma: &[u8], width: usize, height: usize, bar: usize) -> u32 {
    let columns = (bar * 3 + 1) * width / (BARS * 3)..(bar * 3 + 2) * width / (BARS * 3);
    let rows = height / 32..height * 3 / 32;
    let samples = rows.flat_map(|row| &luma[row * width..][columns.clone()]);
    let (sum, count) = samples.fold((0, 0), |(sum, count), sample| (sum + u32::from(*sample), count + 1));
    sum / count
}

/// Each bar as a bit, by what the guards say black and white are.
fn bits(levels: &[u32; BARS]) -> Option<u32> {
    let white = (levels[0] + levels[2] + levels[29] + levels[31]) / 4;
    let black = (levels[1] + levels[3] + levels[28] + levels[30]) / 4;
    if white < black + CONTRAST_MIN {
        return None;
    }
    let threshold = (white + black) / 2;
    Some(levels.iter().fold(0, |bits, level| bits << 1 | u32::from(*level > threshold)))
}

/// CRC-8 with polynomial 0x07, starting from 0xFF so that number 0 has bars too.
fn checksum(number: u16) -> u8 {
    let step = |crc: u8, _| if crc & 0x80 == 0 { crc << 1 } else { crc << 1 ^ 0x07 };
    number.to_be_bytes().iter().fold(0xFF, |crc, byte| (0..8).fold(crc ^ byte, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coded(number: u16) -> Vec<u8> {
        let mut picture = Picture::black();
        write(&mut picture, number);
        picture.luma().to_vec()
    }

    #[test]
    fn every_number_is_read_back() {
        for number in (0..=u16::MAX).step_by(251) {
            assert_eq!(read(&coded(number), WIDTH), Some(number));
        }
    }

    #[test]
    fn a_washed_out_and_noisy_picture_is_still_read() {
        let mut noise = 12345u32;
        let mut luma = coded(4711);
        for sample in &mut luma {
            noise = noise.wrapping_mul(1_103_515_245).wrapping_add(12345);
            *sample = *sample / 2 + 40 + (noise >> 27) as u8;
        }
        assert_eq!(read(&luma, WIDTH), Some(4711));
    }

    #[test]
    fn a_picture_of_a_third_of_the_size_is_still_read() {
        let luma = coded(1234);
        let small: Vec<u8> =
            (0..HEIGHT / 3 * (WIDTH / 3)).map(|at| luma[at / (WIDTH / 3) * 3 * WIDTH + at % (WIDTH / 3) * 3]).collect();
        assert_eq!(read(&small, WIDTH / 3), Some(1234));
    }

    #[test]
    fn one_wrong_bar_is_no_number() {
        for bar in 0..BARS {
            let mut picture = Picture::black();
            write(&mut picture, 4711);
            let width = WIDTH / BARS;
            let was_white = picture.luma()[bar * width] > 128;
            let colour = if was_white { Colour::BLACK } else { Colour::WHITE };
            picture.fill(Area { x: bar * width, y: 0, width, height: BAND_HEIGHT }, colour);
            assert_eq!(read(picture.luma(), WIDTH), None, "bar {bar}");
        }
    }

    #[test]
    fn what_has_no_bar_code_is_no_number() {
        assert_eq!(read(Picture::black().luma(), WIDTH), None);
        assert_eq!(read(&[128; 640 * 360], 640), None);
        assert_eq!(read(&[], 640), None);
        assert_eq!(read(&[200; 10], 0), None);
    }
}
