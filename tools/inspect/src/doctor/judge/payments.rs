//! The payment leg's provider, and money that waits for a person or for an answer.

use crate::doctor::observations::Payments;
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
        let trip = payments.first.as_deref().unwrap_or("?");
        let me = client::invocation();
        sheet.wrong(
            "payments",
            format!(
                "{} payments need a person, that of trip {trip} for one: a confirmed trip is unpaid, or money has been on its way back for over an hour",
                payments.attention
            ),
            format!(
                "`GET /payments/{trip}` says what the provider refused; a trip that cannot be paid: `{me} cancel {trip}`, and it comes back"
            ),
        );
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
