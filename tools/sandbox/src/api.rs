//! What is asked for below `/v1`, and what is answered: routes, idempotency keys, one transaction each. What goes wrong on purpose is in `broken`.

use anyhow::Result;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::Connection as _;

use super::failures::{Purpose, When};
use super::form::Form;
use super::payment::{Now, Payment};
use super::refunds;
use super::said::Said;
use super::store::{Kept, Store, Unit};

const PAGE: i64 = 10;
const PAGE_MAX: i64 = 100;
/// What is said of a request before it is begun: the same key may be used for it once it is right.
const NOT_BEGUN: &[&str] = &[
    "parameter_missing",
    "parameter_invalid_integer",
    "resource_missing",
];

/// What is asked, of which payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Which operation it is.
    pub purpose: Purpose,
    /// Of what kind of thing.
    pub of: Of,
    /// Of which, where its id is in the path.
    pub id: String,
}

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Payments.
    Payment,
    /// What was given back of them.
    Refund,
}

/// A request, read.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is asked.
    pub asked: Asked,
    /// Its fields.
    pub form: Form,
    /// Under which key.
    pub idempotency_key: Option<String>,
    /// The path and the fields as they came: the same key has to come with the same.
    pub text: String,
    /// That it ends in 500, and whether it is done all the same.
    pub broken: Option<When>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Its HTTP status.
    pub status: StatusCode,
    /// Its body.
    pub body: String,
    /// It was given before, under the same key.
    pub replayed: bool,
}

/// What is asked for by this method and path, if anything is.
#[must_use]
pub fn route(method: &Method, path: &str) -> Option<Asked> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (purpose, id) = match (method.as_str(), parts.as_slice()) {
        ("POST", ["v1", "payment_intents"]) => (Purpose::Open, ""),
        ("GET", ["v1", "payment_intents"]) => (Purpose::List, ""),
        ("GET", ["v1", "payment_intents", id]) => (Purpose::Read, *id),
        ("POST", ["v1", "payment_intents", id, "confirm"]) => (Purpose::Authorise, *id),
        ("POST", ["v1", "payment_intents", id, "capture"]) => (Purpose::Capture, *id),
        ("POST", ["v1", "payment_intents", id, "cancel"]) => (Purpose::Void, *id),
        ("POST", ["v1", "refunds"]) => (Purpose::Refund, ""),
        ("GET", ["v1", "refunds"]) => (Purpose::List, ""),
        ("GET", ["v1", "refunds", id]) => (Purpose::Read, *id),
        _ => return None,
    };
    let of = match parts.get(1) {
        Some(&"refunds") => Of::Refund,
        _ => Of::Payment,
    };
    Some(Asked {
        purpose,
        of,
        id: id.to_owned(),
    })
}

/// Does what is asked for, once for each idempotency key, and says how that went. Whoever tells of it wants events kept.
///
/// # Errors
/// When the file cannot be read or written: nothing was done.
pub async fn perform(store: &Store, request: &Request, now: &Now, tells: bool) -> Result<Answered> {
    let mut connection = store.alone().await;
    let mut unit = connection.begin().await?;
    let key = request.idempotency_key.as_deref();
    if let Some(key) = key
        && let Some(kept) = Store::kept(&mut unit, key).await?
    {
        if kept.asked != request.text {
            return Ok(said(&Said::other_body(key)));
        }
        return Ok(Answered {
            status: StatusCode::from_u16(kept.status)?,
            body: kept.body,
            replayed: true,
        });
    }
    let done = match request.broken {
        Some(When::Before) => Err(Said::broken(StatusCode::INTERNAL_SERVER_ERROR)),
        _ => carry_out(&mut unit, request, now, tells).await?,
    };
    let done = match request.broken {
        Some(_) => Err(Said::broken(StatusCode::INTERNAL_SERVER_ERROR)),
        None => done,
    };
    let begun = done.as_ref().err().is_none_or(|said| {
        let code = said.error.get("code").and_then(Value::as_str);
        !code.is_some_and(|code| NOT_BEGUN.contains(&code))
    });
    let answered = match done {
        Ok(object) => Answered {
            status: StatusCode::OK,
            body: object.to_string(),
            replayed: false,
        },
        Err(no) => said(&no),
    };
    if let Some(key) = key
        && begun
    {
        let kept = Kept {
            asked: request.text.clone(),
            status: answered.status.as_u16(),
            body: answered.body.clone(),
        };
        Store::keep(&mut unit, key, &kept).await?;
    }
    unit.commit().await?;
    Ok(answered)
}

/// What a refusal looks like.
#[must_use]
pub fn said(said: &Said) -> Answered {
    Answered {
        status: said.status,
        body: said.body(),
        replayed: false,
    }
}

async fn carry_out(
    unit: &mut Unit<'_>,
    request: &Request,
    now: &Now,
    tells: bool,
) -> Result<Result<Value, Said>> {
    let Request { asked, form, .. } = request;
    let mut payment = match asked.purpose {
        Purpose::Read if asked.of == Of::Refund => return refunds::one(unit, &asked.id).await,
        Purpose::List if asked.of == Of::Refund => return refunds::of_payment(unit, form).await,
        Purpose::List => return list(unit, form, now, tells).await,
        Purpose::Open => match open(form, now) {
            Ok(payment) => payment,
            Err(said) => return Ok(Err(said)),
        },
        Purpose::Refund => match form.needed("payment_intent") {
            Ok(id) => match found(unit, id, "payment_intent", StatusCode::BAD_REQUEST).await? {
                Ok(payment) => payment,
                Err(said) => return Ok(Err(said)),
            },
            Err(said) => return Ok(Err(said)),
        },
        _ => match found(unit, &asked.id, "intent", StatusCode::NOT_FOUND).await? {
            Ok(payment) => payment,
            Err(said) => return Ok(Err(said)),
        },
    };
    let loaded = payment.clone();
    if payment.expire(now.ms, now.ms / 1_000) && tells {
        Store::tell(
            unit,
            "payment_intent.canceled",
            &payment.shown(false),
            now.ms,
        )
        .await?;
    }
    let before = payment.clone();
    let (done, kind) = act(&mut payment, request, now);
    let is_new = asked.purpose == Purpose::Open;
    if is_new || payment != loaded {
        Store::put(unit, &payment).await?;
    }
    let changed = is_new || payment != before;
    if tells
        && changed
        && let Some(kind) = kind
    {
        let object = match kind {
            "charge.refunded" => payment.shown_charge(),
            _ => payment.shown(false),
        };
        Store::tell(unit, kind, &object, now.ms).await?;
    }
    let with_charge = form.lists("expand", "latest_charge");
    Ok(done.map(|refund| refund.unwrap_or_else(|| payment.shown(with_charge))))
}

/// What is done to a payment, and what is told of it. A refund is shown itself.
fn act(
    payment: &mut Payment,
    request: &Request,
    now: &Now,
) -> (Result<Option<Value>, Said>, Option<&'static str>) {
    let form = &request.form;
    let nothing = |done: Result<(), Said>| done.map(|()| None);
    match request.asked.purpose {
        Purpose::Open => (Ok(None), Some("payment_intent.created")),
        Purpose::Authorise => {
            let fails = form.get("error_on_requires_action") == Some("true");
            let done = payment.confirm(fails, now);
            let kind = match &done {
                Ok(()) => "payment_intent.amount_capturable_updated",
                Err(_) => "payment_intent.payment_failed",
            };
            (nothing(done), Some(kind))
        }
        Purpose::Capture => (
            nothing(payment.capture(now)),
            Some("payment_intent.succeeded"),
        ),
        Purpose::Void => {
            let done = payment.cancel(form.get("cancellation_reason"), now);
            (nothing(done), Some("payment_intent.canceled"))
        }
        Purpose::Refund => {
            let amount = match form.number("amount") {
                Ok(amount) => amount,
                Err(said) => return (Err(said), None),
            };
            (
                payment.refund(amount, form.map("metadata"), now).map(Some),
                Some("charge.refunded"),
            )
        }
        Purpose::Read | Purpose::List => (Ok(None), None),
    }
}

fn open(form: &Form, now: &Now) -> Result<Payment, Said> {
    let amount = form
        .number("amount")?
        .ok_or_else(|| Said::missing("amount"))?;
    let currency = form.needed("currency")?;
    if form.get("capture_method") != Some("manual") {
        return Err(Said::request(
            "This sandbox knows capture_method=manual alone; the provider itself knows more.",
        )
        .with("param", "capture_method"));
    }
    let method = form.get("payment_method");
    Payment::open(amount, currency, method, form.map("metadata"), now)
}

async fn found(
    unit: &mut Unit<'_>,
    id: &str,
    param: &str,
    status: StatusCode,
) -> Result<Result<Payment, Said>> {
    let found = Store::payment(unit, id).await?;
    Ok(found.ok_or_else(|| Said::unknown("payment_intent", id, param, status)))
}

async fn list(
    unit: &mut Unit<'_>,
    form: &Form,
    now: &Now,
    tells: bool,
) -> Result<Result<Value, Said>> {
    expire(unit, now.ms, tells).await?;
    let limit = match form.number("limit") {
        Ok(limit) => limit.unwrap_or(PAGE),
        Err(said) => return Ok(Err(said)),
    };
    if !(1..=PAGE_MAX).contains(&limit) {
        let message = "This value must be between 1 and 100.";
        return Ok(Err(Said::request(message).with("param", "limit")));
    }
    let after = form.get("starting_after");
    if let Some(after) = after
        && let Err(said) = found(unit, after, "starting_after", StatusCode::BAD_REQUEST).await?
    {
        return Ok(Err(said));
    }
    let mut payments = Store::list(unit, after, limit + 1).await?;
    let more = payments.len() as i64 > limit;
    payments.truncate(usize::try_from(limit).unwrap_or(0));
    let with_charge = form.lists("expand", "data.latest_charge");
    let data: Vec<Value> = payments.iter().map(|it| it.shown(with_charge)).collect();
    Ok(Ok(json!({
        "object": "list",
        "data": data,
        "has_more": more,
        "url": "/v1/payment_intents",
    })))
}

/// Lets go of what was held too long.
///
/// # Errors
/// When the file cannot be read or written.
pub async fn expire(unit: &mut Unit<'_>, now_ms: i64, tells: bool) -> Result<()> {
    for mut payment in Store::expired(unit, now_ms).await? {
        if payment.expire(now_ms, now_ms / 1_000) {
            Store::put(unit, &payment).await?;
            if tells {
                let kind = "payment_intent.canceled";
                Store::tell(unit, kind, &payment.shown(false), now_ms).await?;
            }
        }
    }
    Ok(())
}
