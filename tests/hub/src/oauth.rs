//! `POST /oauth/token`: logins are renewed, and identities of pipelines are exchanged.
//!
//! As on the Hub, a refresh token is used once: the answer has the next one.

use serde_json::{Value, json};

use super::http::{Incoming, Reply, form_pairs};
use super::settings::Settings;
use super::world::World;

/// The application of the official client.
const CLIENT_ID: &str = "26be6b09-91c5-47da-9861-d2d2bb7a7e36";

pub(crate) fn answer(world: &mut World, incoming: &Incoming, settings: &Settings) -> Reply {
    if incoming.method != "POST" {
        return Reply::json(405, &json!({"error": "Method not allowed"}));
    }
    let granted = match serde_json::from_slice(&incoming.body) {
        Ok(request) => exchange(world, &request),
        Err(_) => renew(world, &incoming.body, settings),
    };
    granted.unwrap_or_else(|(code, description)| {
        let error = json!({"error": code, "error_description": description});
        Reply::json(400, &error)
    })
}

type Refusal = (&'static str, &'static str);

fn renew(world: &mut World, body: &[u8], settings: &Settings) -> Result<Reply, Refusal> {
    let pairs = form_pairs(&String::from_utf8_lossy(body));
    let field = |name: &str| {
        let mut pairs = pairs.iter();
        let found = pairs.find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    if field("client_id") != CLIENT_ID {
        return Err(("invalid_client", "no such application"));
    }
    if field("grant_type") != "refresh_token" {
        return Err(("unsupported_grant_type", "no such grant"));
    }
    let refresh = field("refresh_token");
    let opens = world.logins.get(refresh).cloned();
    let opens = opens.ok_or(("invalid_grant", "the session is expired or revoked"))?;
    world.n_granted += 1;
    let access = format!("hf_oauth_granted_{}", world.n_granted);
    let mut granted = json!({
        "access_token": access,
        "token_type": "bearer",
        "expires_in": settings.login_lifetime.as_secs(),
    });
    if settings.rotates_logins {
        let next = format!("hf_refresh_granted_{}", world.n_granted);
        world.logins.remove(refresh);
        world.logins.insert(next.clone(), opens.clone());
        granted["refresh_token"] = Value::from(next);
    }
    world.tokens.insert(access, opens);
    Ok(Reply::json(200, &granted))
}

fn exchange(world: &mut World, request: &Value) -> Result<Reply, Refusal> {
    let field = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
    if field("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange"
        || field("subject_token_type") != "urn:ietf:params:oauth:token-type:id_token"
    {
        return Err(("unsupported_grant_type", "no such grant"));
    }
    let resource = field("resource");
    let admits = world.identities.get(&field("subject_token"));
    if admits != Some(&resource) {
        return Err(("invalid_grant", "no trusted publisher admits this identity"));
    }
    world.n_granted += 1;
    let access = format!("hf_jwt_granted_{}", world.n_granted);
    world.tokens.insert(access.clone(), [resource].into());
    Ok(Reply::json(
        200,
        &json!({"access_token": access, "token_type": "bearer", "expires_in": 3600}),
    ))
}
