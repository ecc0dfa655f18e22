//! A message as a tree, whichever decoder read it.

use std::fmt;

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// One value, with the names that the protocol has for its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Unit,
    Bool(bool),
    Number(u64),
    Text(String),
    None,
    Some(Box<Self>),
    List(Vec<Self>),
    Fields(Vec<(&'static str, Self)>),
    Variant(&'static str, Box<Self>),
}

impl Value {
    /// What a message that the codec has read says of itself.
    pub(super) fn of(message: &impl Serialize) -> Self {
        message.serialize(Tree).expect("every message is made of what a tree has")
    }
}

/// A kind of part that no message has.
#[derive(Debug)]
pub(super) struct Foreign;

impl fmt::Display for Foreign {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("messages have no such part")
    }
}

impl std::error::Error for Foreign {}

impl serde::ser::Error for Foreign {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Makes a tree of what is serialized.
struct Tree;

/// The parts so far of a list or of something with fields, and the variant that they belong to.
struct Parts<P> {
    variant: Option<&'static str>,
    parts: Vec<P>,
}

impl<P> Parts<P> {
    const fn new(variant: Option<&'static str>) -> Self {
        Self { variant, parts: Vec::new() }
    }

    fn close(self, close: impl FnOnce(Vec<P>) -> Value) -> Value {
        let inner = close(self.parts);
        match self.variant {
            Some(variant) => Value::Variant(variant, Box::new(inner)),
            None => inner,
        }
    }
}

type Items = Parts<Value>;
type Named = Parts<(&'static str, Value)>;

macro_rules! numbers {
    ($($method:ident: $number:ty),*) => {
        $(fn $method(self, number: $number) -> Result<Value, Foreign> {
            Ok(Value::Number(number.into()))
        })*
    };
}

macro_rules! foreign {
    ($($method:ident: $part:ty),*) => {
        $(fn $method(self, _: $part) -> Result<Value, Foreign> {
            Err(Foreign)
        })*
    };
}

impl Serializer for Tree {
    type Ok = Value;
    type Error = Foreign;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Items;
    type SerializeMap = Items;
    type SerializeStruct = Named;
    type SerializeStructVariant = Named;

    numbers!(serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64);
    foreign!(serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64);
    foreign!(serialize_f32: f32, serialize_f64: f64, serialize_char: char);

    fn serialize_bool(self, value: bool) -> Result<Value, Foreign> {
        Ok(Value::Bool(value))
    }

    fn serialize_str(self, value: &str) -> Result<Value, Foreign> {
        Ok(Value::Text(value.to_owned()))
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<Value, Foreign> {
        Ok(Value::Text(value.to_string()))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Value, Foreign> {
        Ok(Value::List(value.iter().map(|&byte| Value::Number(byte.into())).collect()))
    }

    fn serialize_none(self) -> Result<Value, Foreign> {
        Ok(Value::None)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, Foreign> {
        Ok(Value::Some(Box::new(value.serialize(Self)?)))
    }

    fn serialize_unit(self) -> Result<Value, Foreign> {
        Ok(Value::Unit)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, Foreign> {
        Ok(Value::Unit)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Value, Foreign> {
        Ok(Value::Variant(variant, Box::new(Value::Unit)))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Value, Foreign> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, Foreign> {
        Ok(Value::Variant(variant, Box::new(value.serialize(Self)?)))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items, Foreign> {
        Ok(Parts::new(None))
    }

    fn serialize_tuple(self, _: usize) -> Result<Items, Foreign> {
        Ok(Parts::new(None))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items, Foreign> {
        Ok(Parts::new(None))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items, Foreign> {
        Ok(Parts::new(Some(variant)))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Items, Foreign> {
        Err(Foreign)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Named, Foreign> {
        Ok(Parts::new(None))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Named, Foreign> {
        Ok(Parts::new(Some(variant)))
    }
}

macro_rules! items {
    ($($of:ident $method:ident),*) => {
        $(impl $of for Items {
            type Ok = Value;
            type Error = Foreign;

            fn $method<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Foreign> {
                self.parts.push(item.serialize(Tree)?);
                Ok(())
            }

            fn end(self) -> Result<Value, Foreign> {
                Ok(self.close(Value::List))
            }
        })*
    };
}

items!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);

macro_rules! named {
    ($($of:ident),*) => {
        $(impl $of for Named {
            type Ok = Value;
            type Error = Foreign;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, part: &T) -> Result<(), Foreign> {
                self.parts.push((name, part.serialize(Tree)?));
                Ok(())
            }

            fn end(self) -> Result<Value, Foreign> {
                Ok(self.close(Value::Fields))
            }
        })*
    };
}

named!(SerializeStruct, SerializeStructVariant);

impl SerializeMap for Items {
    type Ok = Value;
    type Error = Foreign;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, _: &T) -> Result<(), Foreign> {
        Err(Foreign)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, _: &T) -> Result<(), Foreign> {
        Err(Foreign)
    }

    fn end(self) -> Result<Value, Foreign> {
        Err(Foreign)
    }
}
