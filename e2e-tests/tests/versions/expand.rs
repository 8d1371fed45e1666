//! The rule that a migration only expands, statement by statement: the version before it must go on reading and writing beside the one
//! after it. It judges the SQL that migrations here are written in, and refuses what it does not know.

use std::collections::BTreeSet;

const SIDE_BY_SIDE: &str = "the version before this one runs beside it for a while";

/// What is wrong with a migration, each with what to do instead. `released` are the versions that went out: what one of them was the
/// last to use may go.
pub(crate) fn refusals(sql: &str, released: &BTreeSet<String>) -> Vec<String> {
    let mut made = BTreeSet::new();
    let statements = statements(sql);
    let judged = statements.iter().map(|statement| {
        let words: Vec<&str> = statement.words.iter().map(String::as_str).collect();
        let unused = statement.unused_since.as_ref();
        if words.first() == Some(&"drop") || words.get(3) == Some(&"drop") {
            return unused
                .is_some_and(|version| released.contains(version))
                .then_some(())
                .ok_or_else(|| DROP.to_owned())
                .map_err(|why| (words, why));
        }
        judge(&words, &mut made).map_err(|why| (words, why))
    });
    judged
        .filter_map(Result::err)
        .map(|(words, why)| {
            let begin: Vec<&str> = words.iter().copied().take(8).collect();
            format!("`{} …`: {why}", begin.join(" "))
        })
        .collect()
}

const DROP: &str = "the version before this one still reads and writes it. In steps: stop using it in one release; \
    once that is out, drop it in the next, with `-- unused since X.Y.Z` above the statement, X.Y.Z being a version that \
    CHANGELOG.md has as released";

fn judge(words: &[&str], made: &mut BTreeSet<String>) -> Result<(), String> {
    let words: Vec<&str> = match words {
        [create, what, "if", "not", "exists", rest @ ..] => {
            [create, what].into_iter().chain(rest).copied().collect()
        }
        _ => words.to_vec(),
    };
    match &words[..] {
        ["create", "table", name, "(", ..] => {
            made.insert((*name).to_owned());
            Ok(())
        }
        ["create", "index", ..] => Ok(()),
        ["create", "unique", "index", _, "on", table, ..] if made.contains(*table) => Ok(()),
        ["create", "unique", ..] => Err(format!(
            "{SIDE_BY_SIDE} and writes rows that this refuses. In steps: a new table with that key, written by one release \
             beside the old one, and read by the next"
        )),
        ["alter", "table", _, "add", "column", column @ ..] => added(column),
        ["alter", "table", _, "add", column @ ..] => added(column),
        ["alter", "table", _, "rename", ..] => Err(format!(
            "{SIDE_BY_SIDE} and knows only the old name. In steps: add the new one; write both and read the new one, or the \
             old one where it is null; drop the old one, one release later"
        )),
        ["alter", "table", _, "alter", ..] => Err(format!(
            "{SIDE_BY_SIDE} and writes what the old type or the old null allowed. In steps: add a new column as it should be; \
             write both; fill what is null as rows are touched; read the new one only, one release later"
        )),
        ["update" | "delete" | "insert", ..] => Err(String::from(
            "a migration moves no data: it would hold every row while both versions wait, and what the version before writes \
             afterwards would be missed. In steps: let the service understand both, and change rows as it touches them",
        )),
        _ => Err(String::from(
            "a migration only expands: `create table`, `create index`, and `alter table … add column` that allows null or has a \
             default. Whatever else it is, do it in steps: expand, let both versions run, contract one release later",
        )),
    }
}

/// A column that a table gets later.
fn added(column: &[&str]) -> Result<(), String> {
    let [_, kind, rest @ ..] = column else {
        return Err(String::from("a column has a name and a type"));
    };
    if !["text", "bigint"].contains(kind) {
        return Err(String::from(
            "what is added is a column of type text or bigint, as both databases know them: no constraint, for the version \
             before this one knows nothing of it and writes what it refuses",
        ));
    }
    let (mut null, mut default, mut rest) = (true, false, rest);
    loop {
        rest = match rest {
            [] => break,
            ["not", "null", rest @ ..] => {
                null = false;
                rest
            }
            ["null", rest @ ..] => rest,
            ["default", "null", rest @ ..] => rest,
            ["default", "-", _, rest @ ..] | ["default", _, rest @ ..] => {
                default = true;
                rest
            }
            [word, ..] => {
                return Err(format!(
                    "`{word}` on a new column is a constraint that the version before this one knows nothing of. Let the \
                     service hold to it; a new table may have it from the start"
                ));
            }
        };
    }
    if null || default {
        return Ok(());
    }
    Err(format!(
        "{SIDE_BY_SIDE} and writes rows without this column: give it a default, or let it be null"
    ))
}

/// One statement, in small letters: words and signs; a text is a word of its own.
#[derive(Debug, Default, PartialEq, Eq)]
struct Statement {
    words: Vec<String>,
    /// From a comment before or in it.
    unused_since: Option<String>,
}

fn statements(sql: &str) -> Vec<Statement> {
    let mut statements = vec![Statement::default()];
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let Some(last) = statements.last_mut() else {
            break;
        };
        let length = if rest.starts_with("--") {
            let line = rest.lines().next().unwrap_or_default();
            let version = line.strip_prefix("-- unused since ");
            last.unused_since = version
                .map(|version| version.trim().to_owned())
                .or(last.unused_since.take());
            line.len()
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if first == '\'' {
            last.words.push(String::from("''"));
            // A quote within is written twice.
            let within = rest[1..].replace("''", "  ");
            within.find('\'').map_or(rest.len(), |end| end + 2)
        } else if first == ';' {
            statements.push(Statement::default());
            1
        } else if first.is_alphanumeric() || first == '_' {
            let word = |c: char| !c.is_alphanumeric() && c != '_';
            let end = rest.find(word).unwrap_or(rest.len());
            last.words.push(rest[..end].to_lowercase());
            end
        } else {
            if !first.is_whitespace() && first != '"' {
                last.words.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    statements.retain(|statement| !statement.words.is_empty());
    statements
}

#[test]
fn what_expands_is_taken() {
    for sql in [
        "",
        "-- drop table trip;\n/* update trip set x = 1; */",
        "create table loyalty (card text not null primary key, points bigint not null check (points >= 0), unique (points));",
        "CREATE TABLE IF NOT EXISTS a (b text); create index a_b on a (b) where b is not null;",
        "create table a (b text); create unique index a_b on a (b);",
        "alter table trip add column cost_centre text;",
        "alter table \"trip\" add column priority bigint not null default 0",
        "alter table trip add note text default 'drop; it''s fine' not null;",
        "alter table trip add column delta bigint default -1 not null;",
        "-- It held what nobody reads.\n-- unused since 0.1.0\nalter table trip drop column note;",
        "-- unused since 0.1.0\ndrop index trip_open;",
    ] {
        assert_eq!(refusals(sql, &released()), [""; 0], "{sql}");
    }
}

#[test]
fn what_does_not_expand_is_refused_with_the_steps_to_take_instead() {
    for (sql, why) in [
        ("drop table trip", "drop it in the next"),
        ("drop index trip_open", "drop it in the next"),
        ("alter table trip drop column note", "drop it in the next"),
        (
            "-- unused since 9.9.9\nalter table trip drop column note",
            "has as released",
        ),
        (
            "-- unused since 0.1.0\ncreate table a (b text);\ndrop table trip",
            "has as released",
        ),
        (
            "alter table trip rename column note to remark",
            "write both",
        ),
        ("alter table trip rename to journey", "only the old name"),
        (
            "alter table trip alter column tries type text",
            "a new column",
        ),
        ("alter table trip alter note set not null", "a new column"),
        (
            "alter table trip add column note text not null",
            "give it a default",
        ),
        (
            "alter table trip add column note text not null default null",
            "give it a default",
        ),
        (
            "alter table trip add column note text unique",
            "Let the service hold to it",
        ),
        (
            "alter table trip add column n bigint default 0 check (n = tries)",
            "Let the service hold to it",
        ),
        (
            "alter table trip add constraint some check (tries > 0)",
            "no constraint",
        ),
        ("alter table trip add unique (said_id)", "no constraint"),
        (
            "alter table trip add column at timestamptz",
            "both databases",
        ),
        ("create unique index one on trip (said_id)", "a new table"),
        ("create table a as select * from trip", "only expands"),
        ("update trip set tries = 0", "moves no data"),
        ("delete from trip", "moves no data"),
        ("insert into trip (trip) values ('')", "moves no data"),
        (
            "create trigger t after insert on trip begin select 1; end",
            "only expands",
        ),
        (
            "create table a (b text); truncate trip",
            "`truncate trip …`",
        ),
    ] {
        let refusals = refusals(sql, &released());
        assert!(
            refusals.iter().any(|refusal| refusal.contains(why)),
            "{sql}: {refusals:?}"
        );
    }
}

fn released() -> BTreeSet<String> {
    BTreeSet::from([String::from("0.1.0")])
}
