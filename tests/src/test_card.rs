//! The pictures of the demo's own clips: a test card that moves and says which one it is.

use crate::barcode::{self, BAND_HEIGHT};
use crate::picture::{Area, Colour, HEIGHT, Picture, WIDTH};

/// How the cards of one clip look, so that a person can tell the apps apart.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Behind everything, as red, green and blue.
    pub background: [u8; 3],
    /// So many dots in the corner: the number of the app.
    pub dots: usize,
}

/// Draws one card: bar code, number in digits, colours, and a block that runs from side to side.
pub fn draw(number: u16, style: Style) -> Picture {
    let mut picture = Picture::black();
    background(&mut picture, style.background);
    colour_bars(&mut picture);
    for dot in 0..style.dots {
        picture.fill(Area { x: 24 + dot * 32, y: BAND_HEIGHT + 20, width: 20, height: 20 }, Colour::WHITE);
    }
    picture.fill(Area { x: runner(number), y: 236, width: 48, height: 48 }, Colour::rgb(255, 220, 60));
    digits(&mut picture, number);
    barcode::write(&mut picture, number);
    picture
}

fn background(picture: &mut Picture, colour: [u8; 3]) {
    for y in (0..HEIGHT).step_by(4) {
        let shaded = colour.map(|part| (usize::from(part) * (HEIGHT + y) / (2 * HEIGHT)) as u8);
        picture.fill(Area { x: 0, y, width: WIDTH, height: 4 }, Colour::rgb(shaded[0], shaded[1], shaded[2]));
    }
}

fn colour_bars(picture: &mut Picture) {
    let width = WIDTH / 8;
    for bar in 0..8 {
        let part = |bit: usize| if bar & bit == 0 { 191 } else { 0 };
        let colour = Colour::rgb(part(2), part(4), part(1));
        picture.fill(Area { x: bar * width, y: HEIGHT - 56, width, height: 56 }, colour);
    }
}

/// Where the block is: 4 pixels on with each picture, and back at the edge.
fn runner(number: u16) -> usize {
    let way = WIDTH - 48;
    let at = usize::from(number) * 4 % (2 * way);
    if at < way { at } else { 2 * way - at }
}

/// The segments that are lit for each digit: top, upper left, upper right, middle, lower left, lower right, bottom.
const SEGMENTS: [u8; 10] = [0x77, 0x24, 0x5D, 0x6D, 0x2E, 0x6B, 0x7B, 0x25, 0x7F, 0x6F];

fn digits(picture: &mut Picture, number: u16) {
    let text = format!("{number:04}");
    for (place, digit) in text.bytes().enumerate() {
        digit_at(picture, WIDTH / 2 - (text.len() * 76 - 16) / 2 + place * 76, 96, usize::from(digit - b'0'));
    }
}

fn digit_at(picture: &mut Picture, x: usize, y: usize, digit: usize) {
    let segments =
        [(8, 0, 44, 10), (0, 8, 10, 48), (50, 8, 10, 48), (8, 54, 44, 10), (0, 62, 10, 48), (50, 62, 10, 48)];
    for (bit, (dx, dy, width, height)) in segments.into_iter().chain([(8, 108, 44, 10)]).enumerate() {
        if SEGMENTS[digit] >> bit & 1 == 1 {
            picture.fill(Area { x: x + dx, y: y + dy, width, height }, Colour::WHITE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_card_says_which_one_it_is() {
        let style = Style { background: [30, 60, 140], dots: 2 };
        for number in [0, 1, 199, 9999, u16::MAX] {
            assert_eq!(barcode::read(draw(number, style).luma(), WIDTH), Some(number));
        }
    }

    #[test]
    fn the_block_moves_and_stays_in_the_picture() {
        assert_ne!(runner(0), runner(1));
        assert!((0..2000).all(|number| runner(number) <= WIDTH - 48));
    }
}
