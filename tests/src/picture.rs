//! A picture in memory, as decoders give it: I420, that is a plane of brightness and two of colour, the latter at
//! half the width and height.

use std::io;
use std::path::Path;

/// Width of every picture of the demo in pixels; a multiple of 4, so that GStreamer's rows have no padding.
pub const WIDTH: usize = 640;
/// Height of every picture of the demo in pixels.
pub const HEIGHT: usize = 360;
/// Bytes of one picture.
pub const BYTES: usize = WIDTH * HEIGHT * 3 / 2;

const CHROMA_WIDTH: usize = WIDTH / 2;
const LUMA_BYTES: usize = WIDTH * HEIGHT;
const CHROMA_BYTES: usize = LUMA_BYTES / 4;

/// A colour: brightness and the two colour differences of BT.601, studio range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// 16 is black, 235 is white.
    pub luma: u8,
    /// Towards blue; 128 is grey.
    pub blue: u8,
    /// Towards red; 128 is grey.
    pub red: u8,
}

impl Colour {
    /// Black.
    pub const BLACK: Self = Self { luma: 16, blue: 128, red: 128 };
    /// White.
    pub const WHITE: Self = Self { luma: 235, blue: 128, red: 128 };

    /// From red, green and blue, 0 to 255 each.
    pub fn rgb(red: u8, green: u8, blue: u8) -> Self {
        let [red, green, blue] = [red, green, blue].map(f32::from);
        let luma = 16.0 + 0.257 * red + 0.504 * green + 0.098 * blue;
        Self {
            luma: luma as u8,
            blue: (128.0 - 0.148 * red - 0.291 * green + 0.439 * blue) as u8,
            red: (128.0 + 0.439 * red - 0.368 * green - 0.071 * blue) as u8,
        }
    }
}

/// A part of a picture, in pixels. Odd edges are rounded to even ones in the planes of colour.
#[derive(Clone, Copy, Debug)]
pub struct Area {
    /// From the left.
    pub x: usize,
    /// From the top.
    pub y: usize,
    /// To the right.
    pub width: usize,
    /// Down.
    pub height: usize,
}

/// One picture of [`WIDTH`] x [`HEIGHT`].
#[derive(Clone)]
pub struct Picture {
    bytes: Vec<u8>,
}

impl Picture {
    /// A black picture.
    pub fn black() -> Self {
        let mut bytes = vec![Colour::BLACK.luma; LUMA_BYTES];
        bytes.resize(BYTES, 128);
        Self { bytes }
    }

    /// From the bytes of the three planes; `None` if these are not [`BYTES`].
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() == BYTES).then_some(Self { bytes })
    }

    /// The three planes, one after the other.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Brightness, row by row.
    pub fn luma(&self) -> &[u8] {
        &self.bytes[..LUMA_BYTES]
    }

    /// Paints an area; what lies outside of the picture is left out.
    pub fn fill(&mut self, area: Area, colour: Colour) {
        let (right, bottom) = ((area.x + area.width).min(WIDTH), (area.y + area.height).min(HEIGHT));
        let left = area.x.min(right);
        for y in area.y..bottom {
            self.bytes[y * WIDTH + left..y * WIDTH + right].fill(colour.luma);
        }
        let (blue, red) = self.bytes[LUMA_BYTES..].split_at_mut(CHROMA_BYTES);
        for y in area.y / 2..bottom / 2 {
            let row = y * CHROMA_WIDTH + left / 2..y * CHROMA_WIDTH + right / 2;
            blue[row.clone()].fill(colour.blue);
            red[row].fill(colour.red);
        }
    }

    /// Red, green and blue of every pixel, row by row.
    pub fn to_rgb(&self) -> Vec<u8> {
        let (blue, red) = self.bytes[LUMA_BYTES..].split_at(CHROMA_BYTES);
        let pixel = |index: usize| {
            let chroma = index / WIDTH / 2 * CHROMA_WIDTH + index % WIDTH / 2;
            rgb_of(Colour { luma: self.bytes[index], blue: blue[chroma], red: red[chroma] })
        };
        (0..LUMA_BYTES).flat_map(pixel).collect()
    }

    /// Writes the picture as a PNG file.
    pub fn write_png(&self, path: &Path) -> io::Result<()> {
        let file = io::BufWriter::new(std::fs::File::create(path)?);
        let mut encoder = png::Encoder::new(file, WIDTH as u32, HEIGHT as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Fast);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.to_rgb())?;
        Ok(writer.finish()?)
    }
}

fn rgb_of(colour: Colour) -> [u8; 3] {
    let luma = 1.164 * (f32::from(colour.luma) - 16.0);
    let (blue, red) = (f32::from(colour.blue) - 128.0, f32::from(colour.red) - 128.0);
    [luma + 1.596 * red, luma - 0.392 * blue - 0.813 * red, luma + 2.017 * blue].map(|value| value.round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_survives_the_way_to_i420_and_back() {
        for [red, green, blue] in [[0, 0, 0], [255, 255, 255], [200, 30, 60], [10, 120, 240]] {
            let back = rgb_of(Colour::rgb(red, green, blue));
            for (was, is) in [red, green, blue].into_iter().zip(back) {
                assert!(was.abs_diff(is) <= 4, "{red} {green} {blue} came back as {back:?}");
            }
        }
    }

    #[test]
    fn painting_beyond_the_edge_paints_what_is_inside() {
        let mut picture = Picture::black();
        picture.fill(Area { x: WIDTH - 2, y: HEIGHT - 2, width: 100, height: 100 }, Colour::WHITE);
        picture.fill(Area { x: WIDTH + 7, y: HEIGHT + 7, width: 2, height: 2 }, Colour::WHITE);
        assert_eq!(picture.luma().iter().filter(|luma| **luma == 235).count(), 4);
    }

    #[test]
    fn a_png_holds_the_picture() {
        let mut picture = Picture::black();
        picture.fill(Area { x: 0, y: 0, width: 2, height: 2 }, Colour::WHITE);
        let file = tempfile::NamedTempFile::new().unwrap();
        picture.write_png(file.path()).unwrap();

        let mut reader =
            png::Decoder::new(io::BufReader::new(std::fs::File::open(file.path()).unwrap())).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (WIDTH as u32, HEIGHT as u32));
        assert_eq!((&pixels[..3], &pixels[6..9]), ([255, 255, 255].as_slice(), [0, 0, 0].as_slice()));
    }
}
