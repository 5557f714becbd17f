//! stub
pub mod rfc3339 {
    //! stub
    use exeunt::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer};
    pub(crate) fn serialize<S: Serializer>(t: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_i64(t.as_micros())
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
        Timestamp::deserialize(d)
    }
}
