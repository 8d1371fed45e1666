//! A row as cells, one for each column, and back: how rows cross between a service's own types and the database. It writes no SQL, and it
//! knows no engine.

use serde::de::value::{Error, MapDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::ser::{self, Error as _, Impossible, Serialize, Serializer};
use serde::{Deserialize, forward_to_deserialize_any};

use super::{Column, Table};

/// What a row holds in one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Nothing.
    Null,
    /// A 64-bit integer.
    Int(i64),
    /// Text.
    Text(String),
}

/// Why a value is no row, or a row no value.
pub type CellError = Error;

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row's cells in the order of [`Table::all`]. Its field names are the column names; a column without a field is null.
pub(crate) fn of_row<R: Serialize>(row: &R, table: &Table) -> Result<Vec<Cell>, Error> {
    row.serialize(Writer::new(table.key, table.columns))
}

/// A key's cells: it is a tuple in the order of [`Table::key`].
pub(crate) fn of_key<K: Serialize>(key: &K) -> Result<Vec<Cell>, Error> {
    key.serialize(Writer::new(&[], &[]))
}

/// The row that these cells are, each under its column's name.
pub(crate) fn read<R: DeserializeOwned>(
    names: impl Iterator<Item = &'static str> + Clone,
    cells: Vec<Cell>,
) -> Result<R, Error> {
    let (columns, found) = (names.clone().count(), cells.len());
    if columns != found {
        return Err(Error::custom(format_args!(
            "{found} cells were read for {columns} columns"
        )));
    }
    R::deserialize(MapDeserializer::new(names.zip(cells)))
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => to.serialize_none(),
            Self::Int(number) => to.serialize_i64(*number),
            Self::Text(text) => to.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Cell;
            fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                to.write_str("text, an integer or null")
            }
            fn visit_unit<E>(self) -> Result<Cell, E> {
                Ok(Cell::Null)
            }
            fn visit_i64<E>(self, number: i64) -> Result<Cell, E> {
                Ok(Cell::Int(number))
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Cell, E> {
                i64::try_from(number).map(Cell::Int).map_err(E::custom)
            }
            fn visit_str<E>(self, text: &str) -> Result<Cell, E> {
                Ok(Cell::Text(text.to_owned()))
            }
            fn visit_string<E>(self, text: String) -> Result<Cell, E> {
                Ok(Cell::Text(text))
            }
        }
        from.deserialize_any(Read)
    }
}

impl<'de> IntoDeserializer<'de, Error> for Cell {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Cell {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Int(number) => visitor.visit_i64(number),
            Self::Text(text) => visitor.visit_string(text),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Null => visitor.visit_none(),
            cell => visitor.visit_some(cell),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self {
            Self::Text(text) => text
                .into_deserializer()
                .deserialize_enum(name, variants, visitor),
            cell => cell.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map
        struct identifier ignored_any
    }
}

/// Takes a struct's fields to the places of their columns, or a tuple's in its own order.
struct Writer {
    key: &'static [Column],
    others: &'static [Column],
    cells: Vec<Cell>,
    /// Where the next field belongs if fields are in the order of columns, as nearly all are.
    next: usize,
}

impl Writer {
    fn new(key: &'static [Column], others: &'static [Column]) -> Self {
        Self {
            key,
            others,
            cells: vec![Cell::Null; key.len() + others.len()],
            next: 0,
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        let from = |first| {
            let columns = self.key.iter().chain(self.others).enumerate();
            let mut rest = columns.skip(first);
            rest.find(|(_, column)| column.name == name)
        };
        let (place, _) = from(self.next).or_else(|| from(0))?;
        Some(place)
    }
}

/// A scalar of any kind that a column can hold.
struct Scalar;

const NO_ROW: &str = "a row is a struct, and a key a tuple";
const NO_CELL: &str = "a column holds text or a 64-bit integer, and nothing else";

/// The methods of a serializer for what it does not take.
macro_rules! refuse {
    ($why:expr; $($method:ident($($argument:ty),*)),* $(,)?) => {
        $(fn $method(self $(, _: $argument)*) -> Result<Self::Ok, Error> {
            Err(Error::custom($why))
        })*
    };
}

/// The same for what holds several values.
macro_rules! refuse_compound {
    ($why:expr; $($method:ident($($argument:ty),*) -> $answer:ident),* $(,)?) => {
        type SerializeSeq = Impossible<Self::Ok, Error>;
        type SerializeTupleStruct = Impossible<Self::Ok, Error>;
        type SerializeTupleVariant = Impossible<Self::Ok, Error>;
        type SerializeMap = Impossible<Self::Ok, Error>;
        type SerializeStructVariant = Impossible<Self::Ok, Error>;
        $(fn $method(self $(, _: $argument)*) -> Result<Self::$answer, Error> {
            Err(Error::custom($why))
        })*
        fn serialize_newtype_variant<T: Serialize + ?Sized>(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: &T,
        ) -> Result<Self::Ok, Error> {
            Err(Error::custom($why))
        }
    };
}

impl Serializer for Writer {
    type Ok = Vec<Cell>;
    type Error = Error;
    type SerializeStruct = Self;
    type SerializeTuple = Self;

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Vec<Cell>, Error> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Vec<Cell>, Error> {
        value.serialize(self)
    }

    refuse! { NO_ROW;
        serialize_bool(bool), serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64), serialize_u8(u8),
        serialize_u16(u16), serialize_u32(u32), serialize_u64(u64), serialize_f32(f32), serialize_f64(f64), serialize_char(char),
        serialize_str(&str), serialize_bytes(&[u8]), serialize_none(), serialize_unit(), serialize_unit_struct(&'static str),
        serialize_unit_variant(&'static str, u32, &'static str),
    }
    refuse_compound! { NO_ROW;
        serialize_seq(Option<usize>) -> SerializeSeq,
        serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct,
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant,
        serialize_map(Option<usize>) -> SerializeMap,
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant,
    }
}

impl ser::SerializeStruct for Writer {
    type Ok = Vec<Cell>;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let place = self
            .place(name)
            .ok_or_else(|| Error::custom(format_args!("there is no column {name}")))?;
        self.cells[place] = value.serialize(Scalar)?;
        self.next = place + 1;
        Ok(())
    }

    fn end(self) -> Result<Vec<Cell>, Error> {
        Ok(self.cells)
    }
}

impl ser::SerializeTuple for Writer {
    type Ok = Vec<Cell>;
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.cells.push(value.serialize(Scalar)?);
        Ok(())
    }

    fn end(self) -> Result<Vec<Cell>, Error> {
        Ok(self.cells)
    }
}

impl Serializer for Scalar {
    type Ok = Cell;
    type Error = Error;
    type SerializeStruct = Impossible<Cell, Error>;
    type SerializeTuple = Impossible<Cell, Error>;

    fn serialize_i8(self, number: i8) -> Result<Cell, Error> {
        Ok(Cell::Int(number.into()))
    }

    fn serialize_i16(self, number: i16) -> Result<Cell, Error> {
        Ok(Cell::Int(number.into()))
    }

    fn serialize_i32(self, number: i32) -> Result<Cell, Error> {
        Ok(Cell::Int(number.into()))
    }

    fn serialize_i64(self, number: i64) -> Result<Cell, Error> {
        Ok(Cell::Int(number))
    }

    fn serialize_u8(self, number: u8) -> Result<Cell, Error> {
        Ok(Cell::Int(number.into()))
    }

    fn serialize_u16(self, number: u16) -> Result<Cell, Error> {
        Ok(Cell::Int(number.into()))
    }

    fn serialize_u32(self, number: u32) -> Result<Cell, Error> {
        Ok(Cell::Int(number.into()))
    }

    fn serialize_u64(self, number: u64) -> Result<Cell, Error> {
        i64::try_from(number).map(Cell::Int).map_err(Error::custom)
    }

    fn serialize_char(self, letter: char) -> Result<Cell, Error> {
        Ok(Cell::Text(letter.into()))
    }

    fn serialize_str(self, text: &str) -> Result<Cell, Error> {
        Ok(Cell::from(text))
    }

    fn serialize_none(self) -> Result<Cell, Error> {
        Ok(Cell::Null)
    }

    fn serialize_unit(self) -> Result<Cell, Error> {
        Ok(Cell::Null)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Cell, Error> {
        Ok(Cell::from(variant))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Cell, Error> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Cell, Error> {
        value.serialize(self)
    }

    refuse! { NO_CELL;
        serialize_bool(bool), serialize_f32(f32), serialize_f64(f64), serialize_bytes(&[u8]), serialize_unit_struct(&'static str),
    }
    refuse_compound! { NO_CELL;
        serialize_seq(Option<usize>) -> SerializeSeq,
        serialize_tuple(usize) -> SerializeTuple,
        serialize_struct(&'static str, usize) -> SerializeStruct,
        serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct,
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant,
        serialize_map(Option<usize>) -> SerializeMap,
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant,
    }
}

#[cfg(test)]
mod tests;
