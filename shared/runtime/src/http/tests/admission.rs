//! Who is let in, and how a caller is told what a path takes.

use super::*;

impl Shell {
    /// A request as it is written, and the answer to it.
    async fn raw(&self, request: &str) -> Answer {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).await.unwrap();
        Answer::read(std::str::from_utf8(&answer).unwrap())
    }
}

#[tokio::test]
async fn only_one_host_of_ours_is_answered() {
    let shell = shell_of(Ok(())).await;
    let get = async |path: &str, hosts: &str| {
        let request = format!("GET {path} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
        shell.raw(&request).await
    };
    for path in ["/things", "/metrics", "/readyz", "/nowhere"] {
        let foreign = get(path, "Host: evil.example\r\n").await;
        let detail = foreign.problem(421, "foreign-host");
        assert!(detail.contains("HOSTS"), "{detail}");
        let two = get(path, "Host: here\r\nHost: localhost\r\n").await;
        two.problem(400, "host");
        get(path, "").await.problem(400, "host");
    }
    assert_eq!(get("/things", "Host: here:81\r\n").await.status, 200);
    // In this form the header does not count (RFC 9112, 3.2.2).
    let absolute = get("http://evil.example/things", "Host: here\r\n").await;
    absolute.problem(421, "foreign-host");
    // A balancer's own checks speak HTTP/1.0.
    let old = shell.raw("GET /livez HTTP/1.0\r\n\r\n").await;
    assert_eq!((old.status, old.body.as_str()), (200, "alive\n"));
}

#[tokio::test]
async fn a_page_of_another_origin_reaches_no_handler_that_changes_something() {
    let shell = shell_of(Ok(())).await;
    for header in [
        "Origin: https://evil.example\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
    ] {
        let answer = shell.ask("POST", "/big", header, b"1").await;
        answer.problem(403, "foreign-origin");
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
    let own = shell.ask("POST", "/big", "Origin: http://here\r\n", b"1");
    assert_eq!(own.await.body, "1");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused_in_words() {
    let shell = shell_of(Ok(())).await;
    let get = async |path: &str, headers: &str| shell.ask("GET", path, headers, b"").await;
    let long = format!("/things?a={}", "b".repeat(8 * 1024));
    get(&long, "").await.problem(414, "long-target");
    let many: String = (0..70).map(|n| format!("X-{n}: 1\r\n")).collect();
    get("/things", &many).await.problem(431, "long-headers");
    let large = format!("Cookie: {}\r\n", "c".repeat(16 * 1024));
    get("/things", &large).await.problem(431, "long-headers");
    let usual: String = (0..50).map(|n| format!("X-{n}: 1\r\n")).collect();
    assert_eq!(get("/things", &usual).await.status, 200);
}

#[tokio::test]
async fn an_encoded_body_is_refused_in_words() {
    let shell = shell_of(Ok(())).await;
    let header = "Content-Encoding: gzip\r\nContent-Type: application/json\r\n";
    let answer = shell.ask("POST", "/things", header, b"\x1f\x8b").await;
    answer.problem(415, "content-encoding");
    assert_eq!(answer.headers["accept-encoding"], "identity");
}

#[tokio::test]
async fn options_says_what_a_path_takes() {
    let shell = shell_of(Ok(())).await;
    let answer = shell.ask("OPTIONS", "/things", "", b"").await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    let allowed = &answer.headers["allow"];
    assert!(
        allowed.contains("POST") && allowed.contains("GET"),
        "{allowed}"
    );
    let nowhere = shell.ask("OPTIONS", "/nowhere", "", b"").await;
    nowhere.problem(404, "not-found");
}

#[tokio::test]
async fn a_page_of_a_list_names_the_next_one() {
    let shell = shell_of(Ok(())).await;
    let first = shell.get("/things?limit=1&older=%20x").await;
    let link = &first.headers["link"];
    let next = link
        .strip_prefix('<')
        .and_then(|rest| rest.split_once(">; rel=\"next\""));
    let (next, _) = next.unwrap();
    let cursor = first.json()["next_cursor"].as_str().unwrap().to_owned();
    assert_eq!(next, format!("/things?limit=1&older=%20x&cursor={cursor}"));
    // The same with that cursor: it is replaced, and not added to.
    let again = shell.get(next).await;
    assert_eq!(again.headers["link"].matches("cursor=").count(), 1);
    let whole = shell.get("/things?limit=2").await;
    assert!(!whole.headers.contains_key("link"));
}

#[tokio::test]
async fn a_parameter_that_a_route_does_not_take_is_named() {
    let shell = shell_of(Ok(())).await;
    for (asked, named) in [
        ("/things?limit=1&oldr=x", r#"no parameter "oldr""#),
        ("/things?%6fldr", "there are limit, cursor, older"),
    ] {
        let detail = shell.get(asked).await.problem(400, "parameter");
        assert!(detail.contains(named), "{detail}");
    }
    let head = shell.ask("HEAD", "/things?oldr=x", "", b"").await;
    assert_eq!(head.status, 400);
    // Nobody can have meant one of a route that takes none.
    assert_eq!(shell.get("/things/5?oldr=x").await.status, 200);
}

#[tokio::test]
async fn connections_are_bounded_and_whoever_is_too_many_is_told() {
    let shell = shell_of(Ok(())).await;
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS {
        silent.push(TcpStream::connect(shell.address).await.unwrap());
    }
    let told = shell.get("/things").await;
    told.problem(503, "too-many-connections");
    assert_eq!(told.headers["retry-after"], "1");
    // Or whoever fills a service has it restarted.
    assert_eq!(shell.get("/livez").await.status, 200);
    // Whoever keeps silent makes room by and by.
    let mut end = Vec::new();
    silent[0].read_to_end(&mut end).await.unwrap();
    assert_eq!(shell.get("/things").await.status, 200);
}

#[tokio::test]
async fn a_browser_sees_a_page_and_a_program_a_problem() {
    let shell = shell_of(Ok(())).await;
    let accept = "Accept: text/html,application/xhtml+xml\r\n";
    let page = shell.ask("GET", "/", accept, b"").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    assert!(page.headers["content-security-policy"].contains("default-src 'none'"));
    assert!(
        page.body.contains("<code>POST /things</code>"),
        "{}",
        page.body
    );
    for accept in ["", "Accept: */*\r\n", "Accept: application/json\r\n"] {
        let answer = shell.ask("GET", "/", accept, b"").await;
        answer.problem(404, "not-found");
        assert_eq!(answer.headers["vary"], "Accept");
    }
}

/// Requests sent without end, and no answer read: the server can write no more, and nobody waits for it to.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn whoever_reads_no_answer_is_cut_off() {
    let shell = shell_of(Ok(())).await;
    let mut connection = TcpStream::connect(shell.address).await.unwrap();
    let requests = "GET /openapi.json HTTP/1.1\r\nHost: here\r\n\r\n".repeat(1_000);
    let asking = async { while connection.write_all(requests.as_bytes()).await.is_ok() {} };
    let ended = tokio::time::timeout(Duration::from_secs(60), asking).await;
    assert!(ended.is_ok(), "it is still open");
}
