//! Reading a request body as JSON, more strictly than a JSON parser does.
//!
//! A general parser keeps the last of two members with one name, so that what was checked
//! somewhere else may not be what is used here; and it nests as deep as its stack allows.
//! Both are refused (`spec/contract.md` 7.2, `spec/faults.md` B6). The size of the body is
//! limited before it gets here.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::catalogue::field::Misfit;
use crate::input::problem::{Problem, Step};

/// Objects and arrays within each other, the body itself included. A valid body has two.
pub const DEPTH_MAX: usize = 16;

/// Reads a body.
///
/// # Errors
/// The first problem, with the place in the body where it was met.
pub fn parse_body(bytes: &[u8]) -> Result<Value, Problem> {
    let unreadable = |what| Problem::unreadable(&[], what);
    let text = std::str::from_utf8(bytes).map_err(|_| unreadable("is not valid UTF-8"))?;
    if text.trim_matches([' ', '\t', '\n', '\r']).is_empty() {
        return Err(unreadable("is empty; it must be a JSON object"));
    }
    let mut trail = Trail::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parsed = Node { trail: &mut trail }.deserialize(&mut deserializer);
    parsed.and_then(|value| deserializer.end().map(|()| value)).map_err(|error| {
        match trail.fault {
            Some(Fault::Repeated) => Problem::at(&trail.path, Misfit::new("is given twice")),
            Some(Fault::TooDeep) => Problem::unreadable(
                &trail.path,
                &format!("is nested deeper than {DEPTH_MAX} levels"),
            ),
            // Errors of the parser tell the kind of mistake and its place, and quote nothing.
            None => Problem::unreadable(&trail.path, &format!("is not valid JSON: {error}")),
        }
    })
}

/// Where the parser is, and what it objected to. The path is left as it was when an error
/// occurred.
#[derive(Default)]
struct Trail {
    path: Vec<Step>,
    fault: Option<Fault>,
}

/// What this file refuses beyond what the parser does.
enum Fault {
    Repeated,
    TooDeep,
}

/// Any value.
struct Node<'a> {
    trail: &'a mut Trail,
}

impl Node<'_> {
    fn refuse<E: serde::de::Error>(&mut self, fault: Fault) -> E {
        self.trail.fault = Some(fault);
        E::custom("refused")
    }

    fn enter<E: serde::de::Error>(&mut self) -> Result<(), E> {
        match self.trail.path.len() < DEPTH_MAX {
            true => Ok(()),
            false => Err(self.refuse(Fault::TooDeep)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut list = Vec::new();
        loop {
            self.trail.path.push(Step::Index(list.len()));
            match items.next_element_seed(Node { trail: &mut *self.trail })? {
                Some(item) => list.push(item),
                None => break,
            }
            self.trail.path.pop();
        }
        self.trail.path.pop();
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let repeated = object.contains_key(&name);
            self.trail.path.push(Step::Name(name.clone()));
            if repeated {
                return Err(self.refuse(Fault::Repeated));
            }
            let value = members.next_value_seed(Node { trail: &mut *self.trail })?;
            self.trail.path.pop();
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}
