//! A second decoder and encoder, written from the description of the encoding alone: slow, allocating, and plain enough
//! to be seen to be right.

use greenroom_core::message::VERSIONS;

use super::value::Value;

/// How a part of a message is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// Nothing.
    Unit,
    /// One byte: 0 or 1.
    Bool,
    /// One byte.
    Byte,
    /// Seven bits a byte, lowest first, the eighth says that more follow; at most so many bits.
    Number(u32),
    /// A number of bytes, then so many: UTF-8, at most so many of them.
    Text(usize),
    /// A text that is an app's name.
    AppName,
    /// A number of bytes, then so many.
    Bytes,
    /// So many bytes.
    ByteArray(usize),
    /// One byte: 0 for nothing, or 1 and what there is.
    Optional(&'static Shape),
    /// A number of items, then so many; at most so many of them.
    List(&'static Shape, usize),
    /// One after the other.
    Fields(&'static [(&'static str, Shape)]),
    /// The number of one of these, in the order in which they stand here, then what it has.
    OneOf(&'static [(&'static str, Shape)]),
}

/// No length is longer.
const LENGTH_BITS: u32 = 64;

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self, bits: u32) -> Option<u64> {
        let mut number = 0_u128;
        for place in 0..bits.div_ceil(7) {
            let byte = self.byte()?;
            number |= u128::from(byte & 0x7F) << (7 * place);
            if byte < 0x80 {
                let fits = number < 1 << bits;
                return u64::try_from(number).ok().filter(|_| fits);
            }
        }
        None
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = self.number(LENGTH_BITS)?;
        let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(taken.to_vec())
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn text(&mut self, bytes_max: usize) -> Option<String> {
        String::from_utf8(self.bytes()?).ok().filter(|text| text.len() <= bytes_max)
    }

    fn list(&mut self, shape: &Shape, items_max: usize) -> Option<Value> {
        let length = usize::try_from(self.number(LENGTH_BITS)?).ok().filter(|&length| length <= items_max)?;
        let items: Option<Vec<Value>> = (0..length).map(|_| self.value(shape)).collect();
        items.map(Value::List)
    }

    fn value(&mut self, shape: &Shape) -> Option<Value> {
        Some(match *shape {
            Shape::Unit => Value::Unit,
            Shape::Bool => Value::Bool(self.flag()?),
            Shape::Byte => Value::Number(self.byte()?.into()),
            Shape::Number(bits) => Value::Number(self.number(bits)?),
            Shape::Text(bytes_max) => Value::Text(self.text(bytes_max)?),
            Shape::AppName => Value::Text(self.text(usize::MAX).filter(|name| is_app_name(name))?),
            Shape::Bytes => Value::List(self.bytes()?.into_iter().map(|byte| Value::Number(byte.into())).collect()),
            Shape::ByteArray(bytes) => {
                let taken: Option<Vec<Value>> =
                    (0..bytes).map(|_| self.byte().map(|byte| Value::Number(byte.into()))).collect();
                Value::List(taken?)
            }
            Shape::Optional(inner) => match self.flag()? {
                true => Value::Some(Box::new(self.value(inner)?)),
                false => Value::None,
            },
            Shape::List(item, items_max) => self.list(item, items_max)?,
            Shape::Fields(fields) => {
                let fields: Option<_> = fields.iter().map(|(name, part)| Some((*name, self.value(part)?))).collect();
                Value::Fields(fields?)
            }
            Shape::OneOf(choices) => {
                let number = usize::try_from(self.number(32)?).ok()?;
                let (name, part) = choices.get(number)?;
                Value::Variant(name, Box::new(self.value(part)?))
            }
        })
    }
}

/// 1 to 64 letters, digits, `.`, `_` and `-`, and no dot at the front.
fn is_app_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    (1..=64).contains(&bytes.len())
        && bytes[0] != b'.'
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}

/// The message that these bytes are, if they are one of this shape and nothing else.
pub(super) fn read(shape: &Shape, bytes: &[u8]) -> Option<Value> {
    let mut reader = Reader(bytes);
    let value = reader.value(shape)?;
    reader.0.is_empty().then_some(value)
}

/// The first message of a connection, with the version that both sides speak.
pub(super) fn read_first(shape: &Shape, bytes: &[u8]) -> Option<(u8, Value)> {
    let message = bytes.strip_prefix(b"\xC7GR")?;
    let (&[min, max], message) = message.split_first_chunk::<2>()?;
    let version = (VERSIONS.0..=VERSIONS.1).rev().find(|version| (min..=max).contains(version));
    Some((version?, read(shape, message)?))
}

fn write_number(mut number: u64, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// A value in the encoding of its shape.
///
/// # Panics
///
/// When the value is not of this shape.
pub(super) fn write(shape: &Shape, value: &Value, into: &mut Vec<u8>) {
    match (shape, value) {
        (Shape::Unit, Value::Unit) => {}
        (Shape::Bool, Value::Bool(flag)) => into.push(u8::from(*flag)),
        (Shape::Byte, Value::Number(number)) => into.push(u8::try_from(*number).expect("a byte")),
        (Shape::Number(_), Value::Number(number)) => write_number(*number, into),
        (Shape::Text(_) | Shape::AppName, Value::Text(text)) => {
            write_number(text.len() as u64, into);
            into.extend(text.as_bytes());
        }
        (Shape::Bytes, Value::List(bytes)) => {
            write_number(bytes.len() as u64, into);
            bytes.iter().for_each(|byte| write(&Shape::Byte, byte, into));
        }
        (Shape::ByteArray(length), Value::List(bytes)) if bytes.len() == *length => {
            bytes.iter().for_each(|byte| write(&Shape::Byte, byte, into));
        }
        (Shape::Optional(_), Value::None) => into.push(0),
        (Shape::Optional(inner), Value::Some(value)) => {
            into.push(1);
            write(inner, value, into);
        }
        (Shape::List(item, _), Value::List(items)) => {
            write_number(items.len() as u64, into);
            items.iter().for_each(|value| write(item, value, into));
        }
        (Shape::Fields(shapes), Value::Fields(fields)) if shapes.len() == fields.len() => {
            shapes.iter().zip(fields).for_each(|((_, shape), (_, field))| write(shape, field, into));
        }
        (Shape::OneOf(choices), Value::Variant(name, value)) => {
            let number = choices.iter().position(|(choice, _)| choice == name).expect("one of these");
            write_number(number as u64, into);
            write(&choices[number].1, value, into);
        }
        _ => panic!("{value:?} is not of the shape {shape:?}"),
    }
}
