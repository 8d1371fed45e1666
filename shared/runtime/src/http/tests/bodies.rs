//! What is wrong with the body of a request, and how large it may be.

use super::*;

#[tokio::test]
async fn bodies_that_cannot_be_read_are_problems() {
    let shell = shell_of(Ok(())).await;
    let good = r#"{"name":"a","raw":{"x" :  1.50},"size":{"width":3}}"#;
    assert_eq!(
        shell.post("/things", good).await.body,
        r#"a {"x" :  1.50} 3"#
    );
    shell
        .ask("POST", "/things", "", good.as_bytes())
        .await
        .problem(415, "content-type");
    shell
        .ask(
            "POST",
            "/things",
            "Content-Type: text/plain\r\n",
            good.as_bytes(),
        )
        .await
        .problem(415, "content-type");
    for syntax in ["", "{", "nonsense", "{\"name\":}", "{}x", "\u{feff}{}"] {
        let status = shell.post("/things", syntax).await;
        if syntax == "{}x" {
            status.problem(422, "shape")
        } else {
            status.problem(400, "syntax")
        };
    }
    let detail = shell
        .post("/things", r#"{"name":"a","raw":1,"size":{"width":-3}}"#)
        .await
        .problem(422, "shape");
    assert!(detail.contains("size.width: invalid value"), "{detail}");
    let detail = shell
        .post("/things", r#"{"raw":1,"size":{"width":3}}"#)
        .await
        .problem(422, "shape");
    assert!(detail.contains("missing field `name`"), "{detail}");
    let deep = "[".repeat(20_000);
    shell.post("/things", &deep).await.problem(422, "shape");
    shell
        .post("/things", &format!(r#"{{"raw":{deep}"#))
        .await
        .problem(400, "syntax");
}

/// In place of an object an array would be read field by field, and their order would be part of the API.
#[tokio::test]
async fn an_array_is_no_object() {
    let shell = shell_of(Ok(())).await;
    let answer = shell.post("/things", r#"["a",1,{"width":3}]"#).await;
    let detail = answer.problem(422, "shape");
    assert!(detail.contains("expected an object"), "{detail}");
}

#[tokio::test]
async fn what_is_wrong_is_said_without_names_of_types() {
    let shell = shell_of(Ok(())).await;
    let post = async |body: &str| shell.post("/things", body).await.problem(422, "shape");
    let size = |width: &str| format!(r#"{{"name":"a","raw":1,"size":{{"width":{width}}}}}"#);
    let told = [
        post("7").await,
        post(r#"{"name":7,"raw":1,"size":{"width":3}}"#).await,
        post(r#"{"name":"a","raw":1,"size":7}"#).await,
        post(&size("-3")).await,
        post(&size("1.5")).await,
        post(&size("\"u32\"")).await,
        shell.get("/things/seven").await.problem(400, "path"),
        shell.get("/things?limit=many").await.problem(400, "query"),
    ];
    for detail in &told {
        let ours = ["struct", "Thing", "Size", "`u32`", "expected u32", "i64"];
        assert!(!ours.iter().any(|word| detail.contains(word)), "{detail}");
        assert!(
            !detail.contains("a a ") && !detail.contains("an a "),
            "{detail}"
        );
    }
    assert!(told[3].contains("a whole number from 0"), "{}", told[3]);
    assert!(told[5].contains(r#"string "u32""#), "{}", told[5]);
}

#[tokio::test]
async fn large_bodies_are_refused_where_the_route_does_not_take_them() {
    let shell = shell_of(Ok(())).await;
    let body = |length: usize| {
        let frame = r#"{"name":"","raw":1,"size":{"width":3}}"#;
        frame.replacen(
            "\"\"",
            &format!("\"{}\"", "x".repeat(length - frame.len())),
            1,
        )
    };
    assert_eq!(shell.post("/things", &body(BODY_LIMIT)).await.status, 200);
    shell
        .post("/things", &body(BODY_LIMIT + 1))
        .await
        .problem(413, "payload-too-large");
    // More than the sockets buffer: refused without being read, it would end in a broken pipe here.
    let large = body(16 * 1024 * 1024);
    shell
        .post("/things", &large)
        .await
        .problem(413, "payload-too-large");
    let lost = shell.ask("POST", "/nowhere", "", large.as_bytes()).await;
    lost.problem(404, "not-found");
    let text = shell.ask(
        "POST",
        "/things",
        "Content-Type: text/plain\r\n",
        large.as_bytes(),
    );
    text.await.problem(415, "content-type");
    assert_eq!(
        shell.post("/big", &body(1024 * 1024)).await.body,
        (1024 * 1024).to_string()
    );
    shell
        .post("/big", &body(1024 * 1024 + 1))
        .await
        .problem(413, "payload-too-large");
}
