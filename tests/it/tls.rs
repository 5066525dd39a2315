//! TLS and proxies through the real binary: a private CA, redirects that would
//! give encryption up, and where the token goes.

use std::fs;
use std::path::PathBuf;

use hfdl_test_hub::{Fault, Gate, On, ServerCertificate, Shape, TestHub};

use crate::support::env::{Ran, TestEnv};
use crate::support::proxy::Proxy;

const MIB: usize = 1 << 20;
const TOKEN: &str = "hf_a_token_for_tests";

/// A hub that speaks TLS, with a small and a large file behind a gate.
fn world() -> TestEnv {
    world_with(ServerCertificate::default())
}

fn world_with(certificate: ServerCertificate) -> TestEnv {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0").set("HF_TOKEN", TOKEN);
    publish(env.start_hub(TestHub::builder().tls_with(certificate)));
    env
}

/// Returns a certificate that is its own CA.
fn own_ca() -> ServerCertificate {
    ServerCertificate {
        is_own_ca: true,
        ..ServerCertificate::default()
    }
}

fn publish(hub: &TestHub) {
    hub.token(TOKEN, &["acme/tiny"]);
    let repo = hub.repo("acme/tiny");
    let draft = repo.commit("main").file("config.json", b"{}");
    let draft = draft.lfs_generated("model.safetensors", 24 * MIB as u64, 7);
    draft.publish();
    repo.gated(Gate::Auto);
}

/// Writes the hub's CA where a variable can name it.
fn ca_bundle(env: &TestEnv) -> PathBuf {
    let path = env.root().join("ca.pem");
    fs::write(&path, env.hub().ca_pem()).unwrap();
    path
}

fn trust(env: &TestEnv) {
    env.set("SSL_CERT_FILE", &ca_bundle(env).to_string_lossy());
}

fn download(env: &TestEnv) -> Ran {
    let args = ["download", "acme/tiny", "--json"];
    env.hfdl(args.into_iter().chain(["-c", "download.retries=0"]))
}

fn tokens_seen(hub: &TestHub) -> usize {
    let requests = hub.requests();
    let with_token = requests
        .iter()
        .filter(|r| r.header("authorization").is_some());
    with_token.count()
}

#[test]
fn a_private_ca_is_trusted_by_each_variable_that_names_it() {
    for variable in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"] {
        let env = world();
        env.set(variable, &ca_bundle(&env).to_string_lossy());
        let ran = download(&env);
        assert_eq!(ran.succeeds().json()["sessions"][0]["outcome"], "updated");
        env.hfdl(["verify", "acme/tiny"]).succeeds().silently();
        assert!(tokens_seen(env.hub()) > 0, "the Hub itself gets the token");
        // The storage is another https host; the hub fails the test if it got the token.
        assert!(!env.hub().downloads("model.safetensors").is_empty());
    }
}

#[test]
fn a_folder_of_certificates_will_do() {
    let env = world();
    let folder = env.root().join("certs");
    fs::create_dir(&folder).unwrap();
    fs::copy(ca_bundle(&env), folder.join("own.pem")).unwrap();
    env.set("SSL_CERT_FILE", &folder.to_string_lossy());
    download(&env).succeeds();
}

/// Writes the CA of another hub where a variable names it.
fn trust_another(env: &TestEnv, certificate: ServerCertificate) {
    let other = TestHub::builder().tls_with(certificate).start();
    let bundle = env.root().join("other.pem");
    fs::write(&bundle, other.ca_pem()).unwrap();
    env.set("SSL_CERT_FILE", &bundle.to_string_lossy());
}

/// Expects that nothing was asked of a server because of its certificate.
fn refuses_the_certificate(env: &TestEnv, reason: &str) -> Ran {
    let ran = download(env);
    ran.exits(5)
        .explains(reason)
        .explains("set `SSL_CERT_FILE` to its CA bundle");
    assert!(env.hub().requests().is_empty());
    ran
}

#[test]
fn a_certificate_that_no_ca_of_the_bundle_issued_is_an_error_with_a_hint() {
    let env = world();
    trust_another(&env, ServerCertificate::default());
    let ran = refuses_the_certificate(&env, "has an issuer that is not a trusted one");
    ran.explains("no safe connection");
    let missing = env.root().join("missing.pem");
    env.set("SSL_CERT_FILE", &missing.to_string_lossy());
    download(&env)
        .exits(1)
        .explains("the CA certificates cannot be read")
        .explains("missing.pem");
}

/// Windows and macOS judge here, and they tell a self-signed certificate from others no more.
#[test]
fn a_certificate_that_the_system_does_not_trust_is_an_error_with_a_hint() {
    let env = world();
    refuses_the_certificate(&env, "has an issuer that is not a trusted one");
    let env = world_with(own_ca());
    let reason = if cfg!(target_os = "linux") {
        "the server has a self-signed certificate, and it is not a trusted one"
    } else {
        "has an issuer that is not a trusted one"
    };
    refuses_the_certificate(&env, reason);
}

#[test]
fn a_certificate_that_is_its_own_ca_is_trusted_if_the_bundle_has_exactly_it() {
    let env = world_with(own_ca());
    trust(&env);
    download(&env).succeeds();
    env.hfdl(["verify", "acme/tiny"]).succeeds();
}

#[test]
fn a_certificate_that_is_its_own_ca_is_not_trusted_with_another_bundle() {
    let env = world_with(own_ca());
    trust_another(&env, own_ca());
    let reason = "the server has a self-signed certificate, and it is not a trusted one";
    let ran = refuses_the_certificate(&env, reason);
    // The library of certificates logs the same in its own words.
    assert!(
        !ran.stderr().contains("failed to verify"),
        "{}",
        ran.stderr()
    );
}

#[test]
fn a_trusted_certificate_is_checked_for_its_dates_and_names() {
    for is_own_ca in [false, true] {
        let expired = ServerCertificate {
            is_own_ca,
            is_expired: true,
            ..ServerCertificate::default()
        };
        let early = ServerCertificate {
            is_own_ca,
            is_early: true,
            ..ServerCertificate::default()
        };
        let other_name = ServerCertificate {
            is_own_ca,
            names: vec!["hub.example".to_owned()],
            ..ServerCertificate::default()
        };
        let expectations = [
            (
                expired,
                "the server's certificate expired on 2020-12-31 00:00 UTC",
                "next: correct the clock of this machine, or renew the server's certificate",
            ),
            (
                early,
                "the server's certificate is not valid yet: it begins on 2090-01-01 00:00 UTC",
                "next: correct the clock of this machine, or renew the server's certificate",
            ),
            (
                other_name,
                "the server's certificate is for another name: not for `127.0.0.1`, but for \
                 `hub.example`",
                "next: use a name of the certificate for the server",
            ),
        ];
        for (certificate, cause, next) in expectations {
            let env = world_with(certificate);
            trust(&env);
            download(&env).exits(5).explains(cause).explains(next);
            let doctor = env.hfdl(["doctor"]);
            // Dates have the form for a terminal there.
            let (cause, _) = cause.split_once(" on 2").unwrap_or((cause, ""));
            doctor
                .prints(cause)
                .prints(next.trim_start_matches("next: "));
            assert!(env.hub().requests().is_empty());
        }
    }
}

#[test]
fn a_redirect_that_gives_encryption_up_is_refused() {
    let plain = TestHub::start();
    publish(&plain);
    let target = format!("{}/acme/tiny/resolve/main/config.json", plain.endpoint());
    for on in [
        On::resolve("config.json"),
        On::resolve("model.safetensors"),
        On::cdn("model.safetensors"),
    ] {
        let env = world();
        trust(&env);
        let redirect = Fault::Redirect(307, target.clone());
        env.hub().fault(on, redirect);
        download(&env)
            .exits(1)
            .explains("a redirect from https to http");
        assert!(plain.requests().is_empty(), "nobody listens in");
        env.hub().heal();
        download(&env).succeeds();
    }
}

#[test]
fn another_https_host_gets_no_token() {
    let env = world();
    trust(&env);
    // The same certificate and the same machine, under another name.
    let hub = env.hub().endpoint();
    let elsewhere = hub.replace("127.0.0.1", "localhost");
    let target = format!("{elsewhere}/acme/tiny/resolve/main/config.json");
    env.hub().fault(
        On::resolve("config.json").times(1),
        Fault::Redirect(307, target),
    );
    download(&env)
        .exits(1)
        .explains("the storage host `localhost` answered HTTP 401");
    let resolved = env.hub().requests();
    let resolved = resolved
        .iter()
        .filter(|r| r.file.as_deref() == Some("config.json"));
    let with_token: Vec<bool> = resolved
        .map(|request| request.header("authorization").is_some())
        .collect();
    assert_eq!(with_token, [true, false]);
}

#[test]
fn an_interrupted_tls_download_is_resumed() {
    let env = world();
    trust(&env);
    let cut = Fault::CutAfter(16 * MIB as u64);
    env.hub().fault(On::cdn("model.safetensors"), cut);
    let args = ["-c", "download.retries=0", "-c", "download.connections=1"];
    env.hfdl(["download", "acme/tiny"].into_iter().chain(args))
        .exits(5);
    env.hub().heal();
    let ran = download(&env);
    let bytes = &ran.succeeds().json()["sessions"][0]["bytes"];
    assert!(bytes["reused"].as_u64().unwrap() > 0, "{}", ran.report());
    env.hfdl(["verify", "acme/tiny"]).succeeds();
}

#[test]
fn a_byte_that_flips_behind_the_encryption_is_found() {
    let env = world();
    trust(&env);
    let flip = Fault::FlipByteAt(1000);
    env.hub().fault(On::cdn("model.safetensors"), flip);
    download(&env).exits(3);
}

#[test]
fn a_mirror_with_a_path_speaks_tls_too() {
    let env = TestEnv::new();
    env.set("HFDL_DISK_RESERVE", "0").set("HF_TOKEN", TOKEN);
    let builder = TestHub::builder().tls().prefix("/api/hf");
    publish(env.start_hub(builder.shape(Shape::caching_proxy())));
    trust(&env);
    download(&env).succeeds();
}

#[test]
fn a_proxy_is_used_for_every_host_outside_no_proxy() {
    for has_tls in [false, true] {
        let env = TestEnv::new();
        env.set("HFDL_DISK_RESERVE", "0").set("HF_TOKEN", TOKEN);
        let builder = TestHub::builder();
        let hub = env.start_hub(if has_tls { builder.tls() } else { builder });
        publish(hub);
        let (hub, storage) = (hub.endpoint(), hub.cdn_origin());
        let (variable, other) = if has_tls {
            trust(&env);
            ("HTTPS_PROXY", "HTTP_PROXY")
        } else {
            ("HTTP_PROXY", "HTTPS_PROXY")
        };
        let (proxy, idle) = (Proxy::start(), Proxy::start());
        env.set(variable, &proxy.url()).set(other, &idle.url());

        env.set("NO_PROXY", "127.0.0.1");
        env.hfdl(["models", "add", "acme/tiny"]).succeeds();
        assert_eq!(proxy.heads(), Vec::<String>::new());

        let (_, only) = storage.split_once("://").unwrap();
        env.set("NO_PROXY", only);
        download(&env).succeeds();
        assert!(proxy.connected_to(&hub) && !proxy.connected_to(&storage));

        env.unset("NO_PROXY");
        let ran = env.hfdl(["download", "acme/tiny", "--force", "--json"]);
        ran.succeeds();
        assert!(proxy.connected_to(&hub) && proxy.connected_to(&storage));
        assert!(
            !proxy.heads().concat().contains(TOKEN),
            "a proxy connects and hears no secret"
        );
        assert_eq!(idle.heads(), Vec::<String>::new());
    }
}

/// Returns an environment whose large file comes from a plain hub through a proxy.
fn world_behind(proxy: &str) -> TestEnv {
    let env = world();
    trust(&env);
    env.set("HTTPS_PROXY", proxy);
    env
}

#[test]
fn a_proxy_that_is_not_there_is_named_and_is_temporary() {
    for scheme in ["http", "socks5", "socks5h"] {
        let env = world_behind(&format!("{scheme}://user:geheim@127.0.0.1:1"));
        let reason = "the proxy `127.0.0.1:1` cannot be reached: the connection was refused";
        let next = "look whether the proxy runs, and correct `HTTPS_PROXY`";
        let ran = download(&env);
        ran.exits(5).explains(reason).explains(next);
        let doctor = env.hfdl(["doctor"]);
        doctor.prints(reason).prints(next);
        for ran in [ran, doctor] {
            assert!(!ran.report().contains("geheim"), "{}", ran.report());
        }
        assert!(env.hub().requests().is_empty());
    }
}

#[test]
fn a_proxy_that_wants_a_password_is_named_with_the_way_to_give_it() {
    for (scheme, code) in [("http", " (HTTP 407)"), ("socks5", "")] {
        let proxy = Proxy::start_with_password();
        let address = proxy.url().replace("http://", "");
        let set_to = format!("set `HTTPS_PROXY` to `{scheme}://USER:PASSWORD@{address}`");
        let env = world_behind(&format!("{scheme}://{address}"));
        let wants = format!("the proxy `{address}` wants a user name and a password{code}");
        download(&env).exits(5).explains(&wants).explains(&set_to);
        env.hfdl(["doctor"]).prints(&wants).prints(&set_to);

        env.set("HTTPS_PROXY", &format!("{scheme}://user:geheim@{address}"));
        let refuses = format!("the proxy `{address}` refuses the user name or password{code}");
        let ran = download(&env);
        ran.exits(5).explains(&refuses);
        assert!(!ran.report().contains("geheim"), "{}", ran.report());
        assert!(env.hub().requests().is_empty());
    }
}

#[test]
fn a_dead_proxy_before_the_storage_alone_is_named_with_the_next_step() {
    let env = world_behind("http://127.0.0.1:1");
    let endpoint = env.hub().endpoint();
    env.set("NO_PROXY", endpoint.trim_start_matches("https://"));
    download(&env)
        .exits(5)
        .explains("the proxy `127.0.0.1:1` cannot be reached: the connection was refused")
        .explains("next: look whether the proxy runs, and correct `HTTPS_PROXY`");
}

#[test]
fn a_host_that_cannot_be_reached_is_not_taken_for_the_proxy() {
    let env = world();
    trust(&env);
    env.set("HF_ENDPOINT", "https://127.0.0.1:1");
    let ran = download(&env);
    ran.exits(5)
        .explains("`https://127.0.0.1:1`: the connection was refused");
    assert!(!ran.stderr().contains("the proxy"), "{}", ran.report());
}

#[test]
fn a_network_in_no_proxy_is_reached_without_the_proxy() {
    let env = world_behind("http://127.0.0.1:1");
    env.set("NO_PROXY", "10.0.0.0/8 127.0.0.0/8");
    download(&env).succeeds();
}
