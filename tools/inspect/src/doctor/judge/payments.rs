//! The payment leg's provider, and money that waits for a person or for an answer.

use crate::doctor::observations::{Payments, Waiting};
use crate::doctor::report::Sheet;

/// A call takes seconds; one that waits so long waits for somebody.
const LONG_S: u64 = 300;

pub(super) fn judge(sheet: &mut Sheet<'_>, seen: &Result<Payments, String>) {
    let payments = match seen {
        Ok(payments) => payments,
        Err(why) => {
            return sheet.warning(
                "payments",
                format!("what it says of its provider cannot be read ({why})"),
                "its database may not answer: see above",
            );
        }
    };
    provider(sheet, payments);
    if payments.attention > 0 {
        let (what, todo) = attention(payments);
        sheet.wrong("payments", what, todo);
    } else {
        sheet.fine("payments", "no payment needs a person");
    }
    match &payments.oldest_call {
        Some((seconds, what)) if *seconds > LONG_S => sheet.warning(
            "calls",
            format!(
                "a call has had no answer for {} min ({what})",
                seconds / 60
            ),
            "see its provider; `GET /calls` lists all that wait. They are tried again by themselves, and nothing is lost",
        ),
        _ => sheet.fine("calls", "no call waits for long"),
    }
}

/// What is wrong with the payments that need a person, and what to do about the one that is named.
pub(super) fn attention(payments: &Payments) -> (String, String) {
    let many = payments.attention;
    let Some(first) = &payments.first else {
        let what = format!("{many} payments need a person");
        return (what, "`GET /payments?needs_attention=true`".into());
    };
    let Waiting {
        trip,
        state,
        trouble,
    } = first;
    let trouble = trouble.as_deref().unwrap_or("the provider has not answered");
    let me = client::invocation();
    let (what, todo) = match state.as_str() {
        "unpaid" => (
            "it is confirmed, and its money can't be had",
            format!("decide: leave it, or `{me} cancel {trip}`, and it comes back"),
        ),
        "opening" | "authorising" | "voiding" | "refunding" => (
            "it is off, and has been on its way to letting go of its money for over an hour",
            "see the provider's state above, and the payment at the provider. It is asked again by itself; once it is let go or given back there, it ends here too".into(),
        ),
        "capturing" => (
            "it is confirmed, and its money has not been taken for over an hour",
            "see the provider's state above. It is asked again by itself".into(),
        ),
        "released" | "rejected" => (
            "it is over here, and the provider may hold or have taken money for it",
            format!("see the payment at the provider: it is asked to let go by itself, and what is given back by hand there ends it here. If nothing is there, see whether booking has the trip as confirmed (`{me} show {trip}`)"),
        ),
        _ => ("see its record", format!("`GET /payments/{trip}`")),
    };
    let what = format!("{many} payments need a person. Trip {trip} is {state}: {what} ({trouble})");
    (what, todo)
}

fn provider(sheet: &mut Sheet<'_>, payments: &Payments) {
    if payments.problems.is_empty() {
        return sheet.fine("provider", "its provider answers");
    }
    for (kind, detail) in &payments.problems {
        // As the service says it: what is wrong (and why), and behind the colon what to do.
        let (what, todo) = match detail.split_once("): ") {
            Some((what, todo)) => (format!("{what})"), todo),
            None => (detail.clone(), "see its log"),
        };
        if kind == "provider-slowed-down" {
            sheet.warning("provider", what, todo);
        } else {
            sheet.wrong("provider", what, todo);
        }
    }
}
