//! The client of Xet storage against the test hub's own storage on loopback.
//!
//! When the storage's token reaches the CDN, the hub fails the test as it is
//! dropped.

use std::io::Read;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hfdl::domain::ranges::ByteRange;
use hfdl::domain::retry::RetryPolicy;
use hfdl::domain::time::Timestamp;
use hfdl::domain::xet::{Term, XetHash};
use hfdl::sys::http::{Http, HttpSettings};
use hfdl::sys::pause::{Sleeper, Waited};
use hfdl::xet::{CasToken, FileHasher, TokenSource, XetClient, XetError, XetFault, XetStorage};
use hfdl_test_hub::{Api, Fault, Hint, On, Port, TestHub};

const FILE: &str = "model.safetensors";
const SIZE: usize = 1 << 20;
const BEGAN: i64 = 1_800_000_000;
const LIFETIME: i64 = 900;

fn bytes() -> Vec<u8> {
    let mut bytes = vec![0; SIZE];
    fastrand::Rng::with_seed(3).fill(&mut bytes);
    bytes
}

fn hash() -> XetHash {
    let mut hasher = FileHasher::new();
    hasher.update(&bytes());
    hasher.finish().hash
}

fn hub() -> TestHub {
    let hub = TestHub::start();
    hub.serve_xet();
    let draft = hub.repo("acme/tiny").commit("main");
    draft.stored(FILE, bytes()).publish();
    hub
}

/// Storage whose clock stands where the test sets it, the tokens it was given
/// and the pauses it would have made.
struct XetEnv {
    storage: XetStorage,
    now: Arc<AtomicI64>,
    n_tokens: Arc<AtomicUsize>,
    pauses: Arc<Mutex<Vec<Duration>>>,
}

impl XetEnv {
    fn new(retry: RetryPolicy) -> Self {
        let now = Arc::new(AtomicI64::new(BEGAN));
        let clock = Arc::clone(&now);
        let pauses: Arc<Mutex<Vec<Duration>>> = Arc::default();
        let seen = Arc::clone(&pauses);
        let pause = Sleeper::new(move |span| {
            seen.lock().unwrap().push(span);
            Waited::Done
        });
        let http = Http::new(&HttpSettings::default()).unwrap();
        let instant = move || Timestamp::from_second(clock.load(Ordering::SeqCst)).unwrap();
        Self {
            storage: XetStorage::new(http, retry, pause, instant),
            now,
            n_tokens: Arc::default(),
            pauses,
        }
    }

    /// Returns a client whose tokens are the hub's own at the time of asking.
    fn client(&self, hub: &TestHub, scope: &str) -> XetClient {
        let service = Arc::new(Mutex::new(None));
        let copy = Arc::clone(&service);
        hub.configure(move |settings| *copy.lock().unwrap() = settings.xet.clone());
        self.client_of(scope, move |_| {
            let service = service.lock().unwrap().clone().unwrap();
            (service.cas_url, service.access_token)
        })
    }

    /// Returns a client whose nth token is for that address and has that secret.
    fn client_of(
        &self,
        scope: &str,
        token: impl Fn(usize) -> (String, String) + Send + Sync + 'static,
    ) -> XetClient {
        let (now, n_tokens) = (Arc::clone(&self.now), Arc::clone(&self.n_tokens));
        let tokens: TokenSource = Arc::new(move || {
            let (cas_url, secret) = token(n_tokens.fetch_add(1, Ordering::SeqCst));
            let end = now.load(Ordering::SeqCst) + LIFETIME;
            Ok(CasToken {
                cas_url: cas_url.parse().unwrap(),
                secret,
                expires_at: Timestamp::from_second(end).unwrap(),
            })
        });
        self.storage.client(scope, tokens)
    }

    fn advance(&self, seconds: i64) {
        self.now.fetch_add(seconds, Ordering::SeqCst);
    }

    fn n_tokens(&self) -> usize {
        self.n_tokens.load(Ordering::SeqCst)
    }
}

fn asks(client: &XetClient) -> Result<(), XetError> {
    let answer = client.reconstruction(hash(), None)?;
    assert_eq!(answer.total(), SIZE as u64);
    Ok(())
}

/// The questions that the storage got, by their form.
fn forms(hub: &TestHub) -> Vec<String> {
    let requests = hub.requests();
    let asked = requests.iter().filter(|r| r.api == Api::Reconstruction);
    asked.map(|r| r.path()[1..3].to_owned()).collect()
}

#[test]
fn a_token_serves_until_shortly_before_it_expires() {
    let (hub, world) = (hub(), XetEnv::new(RetryPolicy::never()));
    let client = world.client(&hub, "acme/tiny@1");
    let same_scope = world.client(&hub, "acme/tiny@1");
    asks(&client).unwrap();
    asks(&same_scope).unwrap();
    world.advance(LIFETIME - 31);
    asks(&client).unwrap();
    assert_eq!(world.n_tokens(), 1, "31 seconds are enough");
    world.advance(1);
    asks(&client).unwrap();
    assert_eq!(world.n_tokens(), 2, "30 seconds are not");
    asks(&same_scope).unwrap();
    assert_eq!(world.n_tokens(), 2, "both have the new one");
    asks(&world.client(&hub, "acme/tiny@2")).unwrap();
    assert_eq!(world.n_tokens(), 3, "another commit has a token of its own");
}

#[test]
fn a_refused_token_is_replaced_once_for_each_question() {
    let (hub, world) = (hub(), XetEnv::new(RetryPolicy::default()));
    let client = world.client(&hub, "acme/tiny@1");
    asks(&client).unwrap();
    let once = On::api(Api::Reconstruction).times(1);
    hub.fault(once, Fault::Status(401));
    assert_eq!(world.n_tokens(), 1);
    asks(&client).unwrap();
    assert_eq!(world.n_tokens(), 2);
    asks(&client).unwrap();
    assert_eq!(world.n_tokens(), 2, "the new one is kept");

    hub.fault(On::api(Api::Reconstruction), Fault::Status(401));
    hub.forget_requests();
    let fault = asks(&client).unwrap_err().fault;
    assert_eq!(fault, XetFault::Refused { status: 401 });
    assert_eq!((world.n_tokens(), forms(&hub).len()), (3, 2));
    assert!(world.pauses.lock().unwrap().is_empty(), "it is no use");
}

#[test]
fn a_token_that_opens_nothing_is_not_replaced() {
    let (hub, world) = (hub(), XetEnv::new(RetryPolicy::default()));
    let client = world.client(&hub, "acme/tiny@1");
    hub.fault(On::api(Api::Reconstruction), Fault::Status(403));
    let fault = asks(&client).unwrap_err().fault;
    assert_eq!(fault, XetFault::Refused { status: 403 });
    assert_eq!((world.n_tokens(), forms(&hub).len()), (1, 1));
}

#[test]
fn the_secret_goes_only_to_the_address_it_came_with() {
    let (first, second, world) = (hub(), hub(), XetEnv::new(RetryPolicy::never()));
    let mut addresses = Vec::new();
    for (hub, secret) in [(&first, "withdrawn"), (&second, "secret-1")] {
        hub.configure(|settings| {
            let xet = settings.xet.as_mut().unwrap();
            xet.access_token = secret.to_owned();
            addresses.push(xet.cas_url.clone());
        });
    }
    let client = world.client_of("acme/tiny@1", move |n| {
        (addresses[n].clone(), format!("secret-{n}"))
    });
    // The first storage refuses its token; the next one is for another address.
    let mut stream = client.read(hash(), ByteRange::new(0, SIZE as u64)).unwrap();
    let mut read = Vec::new();
    stream.read_to_end(&mut read).unwrap();
    assert!(read == bytes());
    for (hub, own) in [(&first, "Bearer secret-0"), (&second, "Bearer secret-1")] {
        for request in hub.requests() {
            let sent = request.header("authorization");
            let expected = (request.port == Port::Cas).then_some(own);
            assert_eq!(sent, expected, "{}", hub.describe_requests());
        }
    }
    assert!(second.requests().iter().any(|r| r.port == Port::Cdn));
    let token = CasToken {
        cas_url: "http://127.0.0.1:1".parse().unwrap(),
        secret: "geheim".to_owned(),
        expires_at: Timestamp::from_second(BEGAN).unwrap(),
    };
    assert!(!format!("{token:?}").contains("geheim"));
}

#[test]
fn a_redirect_does_not_lead_the_secret_away() {
    let (hub, elsewhere) = (hub(), hub());
    let world = XetEnv::new(RetryPolicy::default());
    let client = world.client(&hub, "acme/tiny@1");
    let away = format!("{}/v2/reconstructions/{}", elsewhere.endpoint(), hash());
    hub.fault(On::api(Api::Reconstruction), Fault::Redirect(302, away));
    let fault = asks(&client).unwrap_err().fault;
    assert!(matches!(fault, XetFault::BadAnswer(_)), "{fault:?}");
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn a_host_without_the_second_form_of_the_api_is_asked_for_it_once() {
    for status in [404, 501] {
        let (hub, world) = (hub(), XetEnv::new(RetryPolicy::never()));
        hub.configure(|settings| settings.xet.as_mut().unwrap().second_form = false);
        if status == 501 {
            let second = On::api(Api::Reconstruction).times(1);
            hub.fault(second, Fault::Status(501));
        }
        let client = world.client(&hub, "acme/tiny@1");
        asks(&client).unwrap();
        asks(&client).unwrap();
        asks(&world.client(&hub, "acme/tiny@2")).unwrap();
        assert_eq!(forms(&hub), ["v2", "v1", "v1", "v1"], "{status}");
    }
}

#[test]
fn a_file_that_the_storage_does_not_know_says_nothing_about_its_forms() {
    let (hub, world) = (hub(), XetEnv::new(RetryPolicy::default()));
    let client = world.client(&hub, "acme/tiny@1");
    let unknown = XetHash::from_bytes([1; 32]);
    let fault = client.reconstruction(unknown, None).unwrap_err().fault;
    assert_eq!(fault, XetFault::UnknownFile);
    asks(&client).unwrap();
    assert_eq!(forms(&hub), ["v2", "v1", "v2"]);
}

#[test]
fn passing_trouble_is_waited_out_and_other_trouble_is_not() {
    let (hub, world) = (hub(), XetEnv::new(RetryPolicy::default()));
    let client = world.client(&hub, "acme/tiny@1");
    hub.fault(On::api(Api::Reconstruction).times(1), Fault::Status(503));
    asks(&client).unwrap();
    assert_eq!(world.pauses.lock().unwrap().len(), 1);

    let patience = Fault::TooManyRequests(Hint::RetryAfter(7));
    hub.fault(On::api(Api::Reconstruction).times(1), patience);
    asks(&client).unwrap();
    let asked = *world.pauses.lock().unwrap().last().unwrap();
    assert!(asked >= Duration::from_secs(7), "{asked:?}");

    hub.fault(On::api(Api::Reconstruction), Fault::RangeNotSatisfiable);
    assert_eq!(asks(&client).unwrap_err().fault, XetFault::BadRange);
    assert_eq!(world.pauses.lock().unwrap().len(), 2);
    assert_eq!(world.n_tokens(), 1);
}

/// Chains terms that go on where the one before ended: windows cut them.
fn chained(terms: &[Term]) -> Vec<Term> {
    let mut chained: Vec<Term> = Vec::new();
    for term in terms {
        match chained.last_mut() {
            Some(last) if last.xorb == term.xorb && last.end == term.start => {
                last.end = term.end;
                last.length += term.length;
            }
            _ => chained.push(*term),
        }
    }
    chained
}

#[test]
fn the_terms_are_the_same_for_every_window_size() {
    let (hub, world) = (hub(), XetEnv::new(RetryPolicy::never()));
    let client = world.client(&hub, "acme/tiny@1");
    let size = SIZE as u64;
    let whole = client.terms(hash(), size).unwrap();
    assert_eq!(forms(&hub).len(), 1, "a small file is one window");
    for window in [1, 70_000, 300_000, size - 1, size, size + 1] {
        hub.forget_requests();
        let paged = client.terms_with_window(hash(), size, window).unwrap();
        assert_eq!(chained(&paged.terms), chained(&whole.terms), "{window}");
        assert_eq!(paged.packed_bytes, whole.packed_bytes, "{window}");
        let n_asked = forms(&hub).len() as u64;
        assert!(n_asked <= size.div_ceil(window), "{window}: {n_asked}");
        assert_eq!(n_asked == 1, window + 1 >= size, "{window}");
    }
}

#[test]
fn each_window_begins_where_the_terms_before_ended() {
    let (hub, world) = (hub(), XetEnv::new(RetryPolicy::never()));
    let client = world.client(&hub, "acme/tiny@1");
    hub.forget_requests();
    client
        .terms_with_window(hash(), SIZE as u64, 200_000)
        .unwrap();
    let mut at = 0;
    for request in hub.requests() {
        let part = ByteRange::new(at, (at + 200_000).min(SIZE as u64));
        let expected = format!("bytes={}-{}", part.start, part.end - 1);
        assert_eq!(request.header("range"), Some(expected.as_str()));
        at += client.reconstruction(hash(), Some(part)).unwrap().total();
    }
    assert_eq!(at, SIZE as u64);
}

#[test]
fn terms_that_are_not_exactly_the_file_are_refused() {
    let (hub, world) = (hub(), XetEnv::new(RetryPolicy::never()));
    let client = world.client(&hub, "acme/tiny@1");
    let size = SIZE as u64;
    for window in [100_000, size * 2] {
        for wrong in [size - 1, size + 1] {
            let fault = client
                .terms_with_window(hash(), wrong, window)
                .unwrap_err()
                .fault;
            let is_told = matches!(fault, XetFault::BadAnswer(_) | XetFault::BadRange);
            assert!(is_told, "{window} {wrong}: {fault:?}");
        }
    }
    let answer = |offset: u64, length: u64| {
        let name = "0".repeat(64);
        let json = format!(
            r#"{{"offset_into_first_range":{offset},"terms":[{{"hash":"{name}","unpacked_length":{length},"range":{{"start":0,"end":1}}}}],"xorbs":{{}}}}"#
        );
        Fault::Garbage("application/json".to_owned(), json.into_bytes())
    };
    let nothing = Fault::Garbage("application/json".to_owned(), br#"{"terms":[]}"#.to_vec());
    // Of the second window: all were shorter than it, or not where it begins.
    for fault in [answer(1, 131_072), answer(0, 99_999), nothing] {
        hub.heal();
        hub.fault(On::api(Api::Reconstruction).skip(1), fault.clone());
        let error = client.terms_with_window(hash(), size, 100_000).unwrap_err();
        assert!(matches!(error.fault, XetFault::BadAnswer(_)), "{fault:?}");
    }
}

#[test]
fn a_part_is_read_to_the_byte_for_every_window_size() {
    let (hub, world) = (hub(), XetEnv::new(RetryPolicy::never()));
    let client = world.client(&hub, "acme/tiny@1");
    let (bytes, size) = (bytes(), SIZE as u64);
    for (start, end) in [(0, size), (1, size - 1), (400_000, 400_001)] {
        for window in [9_999, 250_000, size] {
            let range = ByteRange::new(start, end);
            let mut read = Vec::new();
            let mut stream = client.read_with_window(hash(), range, window).unwrap();
            stream.read_to_end(&mut read).unwrap();
            let expected = &bytes[start as usize..end as usize];
            assert!(read == expected, "{start} to {end} by {window}");
        }
    }
}

#[test]
fn after_trouble_with_chunks_a_stream_gives_no_more_bytes() {
    let (hub, world) = (hub(), XetEnv::new(RetryPolicy::never()));
    let client = world.client(&hub, "acme/tiny@1");
    let range = ByteRange::new(0, SIZE as u64);
    let mut stream = client.read(hash(), range).unwrap();
    hub.fault(On::api(Api::Xorb), Fault::CutAfter(300_000));
    let mut read = Vec::new();
    let error = stream.read_to_end(&mut read).unwrap_err();
    assert!(error.get_ref().unwrap().is::<XetError>(), "{error}");
    assert!(read == bytes()[..read.len()] && read.len() > 100_000);
    let before = hub.requests().len();
    assert!(stream.read(&mut [0; 9]).is_err());
    assert_eq!(hub.requests().len(), before, "nothing is asked again");
}
