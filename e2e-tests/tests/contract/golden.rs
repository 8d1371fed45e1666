//! The golden files, in the order of the table, each with the envelope that the runtime puts around it.

use std::collections::BTreeMap;

use choreography::{Line, Role, TABLE};
use runtime::Event;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// A fact as it was once written, byte for byte.
pub(crate) struct Golden {
    pub(crate) line: &'static Line,
    /// Such as `leg.reserved`.
    pub(crate) file: String,
    pub(crate) kind: String,
    pub(crate) entity: String,
    pub(crate) subject: String,
    pub(crate) data: Box<RawValue>,
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "ce-type")]
    kind: String,
    #[serde(rename = "ce-subject")]
    entity: String,
    subject: String,
    data: Box<RawValue>,
}

pub(crate) fn all() -> Vec<Golden> {
    let of = |line: &'static Line| {
        let speaker = if line.said_by == Role::Booking {
            "booking"
        } else {
            "leg"
        };
        let file = format!("{speaker}.{}", line.fact);
        let text = crate::read(&format!("shared/choreography/golden/v1/{file}.json"));
        let File {
            kind,
            entity,
            subject,
            data,
        } = serde_json::from_str(&text).unwrap();
        Golden {
            line,
            file,
            kind,
            entity,
            subject,
            data,
        }
    };
    TABLE.iter().map(of).collect()
}

impl Golden {
    pub(crate) fn body(&self) -> Value {
        serde_json::from_str(self.data.get()).unwrap()
    }

    /// The headers that the runtime writes; without `whole` only those that it always does.
    pub(crate) fn headers(&self, whole: bool) -> BTreeMap<String, String> {
        let frozen = crate::read("shared/runtime/golden/v1/headers.json");
        let frozen: BTreeMap<String, String> = serde_json::from_str(&frozen).unwrap();
        let kept = |name: &str| whole.then(|| frozen[name].clone());
        let time: jiff::Timestamp = frozen["ce-time"].parse().unwrap();
        let event = Event {
            id: frozen["ce-id"].parse().unwrap(),
            aggregatetype: String::from("trip"),
            aggregateid: self.entity.clone(),
            kind: self.kind.clone(),
            payload: String::new(),
            subject: self.subject.clone(),
            causation_id: kept("ce-causationid"),
            time_us: time.as_microsecond(),
            traceparent: kept("traceparent"),
            tracestate: kept("tracestate"),
            attempt: 0,
        };
        let speaker = self.kind.split('.').next().unwrap();
        let headers = event.headers(&format!("/{speaker}"));
        let headers = headers.iter();
        headers
            .map(|(name, values)| (name.to_string(), values[0].to_string()))
            .collect()
    }
}
