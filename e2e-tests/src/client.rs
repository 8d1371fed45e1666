//! How travellers and operators reach a world: its services' HTTP, in the words of the domain. Cheap to clone, so that many can ask
//! at once. It stands upon the command's own client. What is asked here goes well or fails the test; for requests that should fail,
//! and for what HTTP itself answers, there is [`Client::request`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::client::{Page, is_final};
use booking::core::State;
use booking::view::TripView;
use choreography::TripId;
use futures::{StreamExt as _, stream};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::trip::{Asked, DAY, NIGHTS, ROOM_PRICE, SEAT_PRICE};
use crate::{eventually, until_equal};

/// Requests at a time, where many are made.
const CALLERS: usize = 32;
/// Longer than any outcome should take to come.
const WAIT: Duration = Duration::from_secs(45);

/// Travellers and operators of one world, over HTTP.
#[derive(Debug, Clone)]
pub struct Client {
    /// The replicas of each service, or the load balancer before them.
    services: BTreeMap<String, Vec<::client::Client>>,
    replicas: BTreeMap<String, usize>,
    /// The trip that was asked about last, for the story of a test that fails.
    focus: Arc<Mutex<Option<TripId>>>,
}

/// What a service answered.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

/// An error answer: RFC 9457 problem details.
#[derive(Debug, Deserialize)]
pub struct Trouble {
    /// The kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// What is wrong.
    pub title: String,
    /// The status code, once more.
    pub status: u16,
    /// What to do about it.
    pub detail: String,
}

/// How much there is of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Stock {
    /// held + confirmed + free.
    pub total: i64,
    /// For trips that are not decided.
    pub held: i64,
    /// How many are firm.
    pub confirmed: i64,
    /// How many are left.
    pub free: i64,
}

impl Stock {
    /// All of it is free.
    #[must_use]
    pub fn all_free(total: i64) -> Self {
        Self::of(0, 0, total)
    }

    /// So much of each.
    #[must_use]
    pub fn of(held: i64, confirmed: i64, free: i64) -> Self {
        let total = held + confirmed + free;
        Self {
            total,
            held,
            confirmed,
            free,
        }
    }
}

impl Answer {
    /// The body, read.
    #[must_use]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error} in {} {}", self.status, self.text))
    }

    /// A header, empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The problem that this answer is: with that status, of the right media type, and with words in it.
    pub fn problem(&self, status: u16) -> Trouble {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{}",
            self.text
        );
        let problem: Trouble = self.json();
        assert_eq!(problem.status, status);
        assert!(!problem.title.is_empty() && !problem.kind.is_empty());
        assert!(
            problem.detail.len() > 15,
            "it says what to do: {}",
            self.text
        );
        problem
    }
}

impl Client {
    pub(crate) fn new() -> Self {
        Self {
            services: BTreeMap::new(),
            replicas: BTreeMap::new(),
            focus: Arc::default(),
        }
    }

    /// One more replica of a service.
    pub(crate) fn opens(&mut self, service: &str, url: &str) {
        let replicas = self.services.entry(service.to_owned()).or_default();
        replicas.push(::client::Client::new(url).unwrap());
        *self.replicas.entry(service.to_owned()).or_default() += 1;
    }

    /// A service with so many replicas, which are asked through a load balancer.
    pub(crate) fn is_balanced(&mut self, service: &str, url: &str, replicas: usize) {
        self.opens(service, url);
        self.replicas.insert(service.to_owned(), replicas);
    }

    pub(crate) fn focus(&self) -> Option<TripId> {
        *self.focus.lock().unwrap()
    }

    /// A request to the first replica of a service.
    pub fn request(&self, method: Method, service: &str, path: &str) -> RequestBuilder {
        self.request_at(0, method, service, path)
    }

    /// A request to one replica of a service, the first being 0; behind a load balancer to any.
    pub fn request_at(
        &self,
        replica: usize,
        method: Method,
        service: &str,
        path: &str,
    ) -> RequestBuilder {
        let replicas = &self.services[service];
        replicas[replica % replicas.len()].request_to(method, path)
    }

    /// What comes back, whatever it is.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request).await.expect("no answer")
    }

    /// What comes back, if anything does.
    pub async fn try_send(&self, request: RequestBuilder) -> Option<Answer> {
        let answer = request.send().await.ok()?;
        Some(Answer {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            text: answer.text().await.ok()?,
        })
    }

    /// What is there, whichever replica says it.
    pub async fn get<T: DeserializeOwned>(&self, service: &str, path: &str) -> T {
        for replica in 0..self.services[service].len() {
            let request = self.request_at(replica, Method::GET, service, path);
            let Some(answer) = self.try_send(request).await else {
                continue;
            };
            assert_eq!(answer.status, 200, "GET {path}: {}", answer.text);
            return answer.json();
        }
        panic!("no {service} answers GET {path}")
    }

    /// Puts something there, and has it taken.
    pub async fn put(&self, service: &str, path: &str, body: Value) -> Answer {
        let request = self.request(Method::PUT, service, path).json(&body);
        let answer = self.send(request).await;
        assert!(
            matches!(answer.status, 200 | 201),
            "PUT {path}: {} {}",
            answer.status,
            answer.text
        );
        answer
    }

    /// A flight has so many seats.
    pub async fn seats(&self, flight: &str, seats: i64) {
        let body = json!({"seats": seats, "price_minor": SEAT_PRICE, "currency": "EUR"});
        self.put("flight", &format!("/flights/{flight}/{DAY}"), body)
            .await;
    }

    /// A hotel has so many rooms on each of its nights.
    pub async fn rooms(&self, hotel: &str, rooms: i64) {
        for night in NIGHTS {
            let body = json!({"rooms": rooms, "price_minor": ROOM_PRICE, "currency": "EUR"});
            self.put("hotel", &format!("/hotels/{hotel}/double/{night}"), body)
                .await;
        }
    }

    /// How a flight is sold.
    pub async fn flight(&self, flight: &str) -> Stock {
        self.get("flight", &format!("/flights/{flight}/{DAY}"))
            .await
    }

    /// How a hotel's nights are sold.
    pub async fn nights(&self, hotel: &str) -> [Stock; 3] {
        let [one, two, three] = NIGHTS.map(|night| format!("/hotels/{hotel}/double/{night}"));
        [
            self.get("hotel", &one).await,
            self.get("hotel", &two).await,
            self.get("hotel", &three).await,
        ]
    }

    /// Waits until a flight is sold like that.
    pub async fn until_flight(&self, flight: &str, stock: Stock) {
        until_equal(flight, stock, async || self.flight(flight).await).await;
    }

    /// Waits until each of a hotel's first nights is sold like that.
    pub async fn until_nights(&self, hotel: &str, nights: usize, stock: Stock) {
        until_equal(hotel, vec![stock; nights], async || {
            self.nights(hotel).await[..nights].to_vec()
        })
        .await;
    }

    /// Booking's first replica, as the command asks it.
    fn booking(&self) -> &::client::Client {
        &self.services["booking"][0]
    }

    /// Books, and waits until it is final.
    pub async fn book(&self, asked: &Asked) -> TripView {
        let view = self.booking().book(&asked.body, None, WAIT).await;
        self.seen(view, is_final)
    }

    /// Asks for a trip, and waits for nothing.
    pub async fn ask(&self, asked: &Asked) -> TripView {
        let view = self.booking().book(&asked.body, None, Duration::ZERO);
        self.seen(view.await, |_| true)
    }

    /// Asks for so many trips, and waits for nothing but the answers.
    pub async fn ask_many(&self, asked: &Asked, trips: usize) -> Vec<TripId> {
        let ask = |_| async { self.ask(asked).await.trip };
        let asking = stream::iter(0..trips).map(ask);
        asking.buffer_unordered(CALLERS).collect().await
    }

    /// Cancels all of them, and waits for nothing but the answers.
    pub async fn cancel_many(&self, trips: &[TripId]) {
        let cancelling = stream::iter(trips).map(|trip| self.cancel_soon(*trip));
        let cancelled = cancelling.buffer_unordered(CALLERS);
        cancelled.for_each(|_| async {}).await;
    }

    /// The request for a trip, to the first replica.
    pub fn asking(&self, asked: &Asked) -> RequestBuilder {
        self.request(Method::POST, "booking", "/bookings")
            .json(&asked.body)
    }

    /// Cancels, and waits until everything is back.
    pub async fn cancel(&self, trip: TripId) -> TripView {
        let view = self.booking().cancel(trip, None, WAIT).await;
        self.seen(view, |view| view.state == State::Closed)
    }

    /// Cancels, and waits for nothing.
    pub async fn cancel_soon(&self, trip: TripId) -> TripView {
        let view = self.booking().cancel(trip, None, Duration::ZERO).await;
        self.seen(view, |_| true)
    }

    /// A trip as it is now.
    pub async fn show(&self, trip: TripId) -> TripView {
        *self.focus.lock().unwrap() = Some(trip);
        self.get("booking", &format!("/bookings/{trip}")).await
    }

    /// Waits until a trip looks like that.
    pub async fn until(
        &self,
        trip: TripId,
        what: &str,
        looks: impl Fn(&TripView) -> bool,
    ) -> TripView {
        eventually(what, async || {
            Some(self.show(trip).await).filter(|view| looks(view))
        })
        .await
    }

    /// Waits until a trip is in that state.
    pub async fn until_state(&self, trip: TripId, state: State) -> TripView {
        self.until(trip, &format!("trip {trip} is {state:?}"), |view| {
            view.state == state
        })
        .await
    }

    /// The trips of a list, such as `/bookings/stuck`.
    pub async fn trips(&self, path: &str) -> Vec<TripView> {
        self.get::<Page<TripView>>("booking", path).await.items
    }

    /// The dead letters of a service.
    pub async fn letters(&self, service: &str) -> Vec<Value> {
        let path = "/letters?limit=1000";
        self.get::<Page<Value>>(service, path).await.items
    }

    /// A counter or gauge of each replica, summed over its labels; those of which `label` names a part. A load balancer says whom it
    /// asked, and asks them in turn.
    pub async fn metrics(&self, service: &str, name: &str, label: &str) -> Vec<f64> {
        let mut seen = BTreeMap::new();
        for replica in 0..20 * self.replicas[service] {
            let request = self.request_at(replica, Method::GET, service, "/metrics");
            let answer = self.send(request).await;
            let asked = replica % self.services[service].len();
            seen.insert(
                (asked, answer.header("x-served-by").to_owned()),
                sum(&answer.text, name, label),
            );
            if seen.len() == self.replicas[service] {
                break;
            }
        }
        seen.into_values().collect()
    }

    fn seen(&self, view: anyhow::Result<TripView>, right: impl Fn(&TripView) -> bool) -> TripView {
        let view = view.unwrap_or_else(|error| panic!("{error:#}"));
        *self.focus.lock().unwrap() = Some(view.trip);
        assert!(right(&view), "not yet: {view:?}");
        view
    }
}

/// A metric in Prometheus' text.
fn sum(metrics: &str, name: &str, label: &str) -> f64 {
    let values = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        let whole = labels.is_empty() || labels.starts_with('{');
        (whole && labels.contains(label)).then(|| value.parse::<f64>().unwrap())
    });
    values.sum()
}
