//! JSON as a tree, with what a map would hide: names that come twice, and escapes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool,
    /// `None` for what is no whole number, or less than 0.
    Number(Option<u64>),
    Text(Text<'a>),
    List(Vec<Self>),
    Object(Vec<(Text<'a>, Self)>),
}

/// A text, and whether there were escapes in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Text<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) has_escapes: bool,
}

impl Json<'_> {
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::Null | Self::Bool | Self::Number(_) | Self::Text(_) => 0,
            Self::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Object(fields) => 1 + fields.iter().map(|(_, value)| value.depth()).max().unwrap_or(0),
        }
    }

    /// Whether the name of a field, anywhere, has escapes.
    pub(super) fn has_escaped_names(&self) -> bool {
        match self {
            Self::Null | Self::Bool | Self::Number(_) | Self::Text(_) => false,
            Self::List(items) => items.iter().any(Self::has_escaped_names),
            Self::Object(fields) => fields.iter().any(|(name, value)| name.has_escapes || value.has_escaped_names()),
        }
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text { text: Cow::Borrowed(text), has_escapes: false })
    }

    /// A text with escapes cannot be borrowed.
    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text { text: Cow::Owned(text.to_owned()), has_escapes: true })
    }
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Some(number)))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json<'de>, E> {
        Ok(Json::Number(None))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Json<'de>, E> {
        TextVisitor.visit_borrowed_str(text).map(Json::Text)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Json<'de>, E> {
        TextVisitor.visit_str(text).map(Json::Text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Json::Object(fields))
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}
