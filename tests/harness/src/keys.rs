//! The v2 key operations as a test wants to write them. Everything else goes through [`Http`].

use serde_json::Value;

use crate::http::{Answer, Http, HttpError, Request};

/// Key operations through one address.
#[derive(Debug)]
pub struct Keys {
    http: Http,
}

/// An answer of the key API.
#[derive(Clone, Debug)]
pub struct KeyAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body, or JSON null when it is no JSON.
    pub json: Value,
    /// The answer it was taken from, with all headers.
    pub answer: Answer,
}

impl Keys {
    /// Key operations through `http`.
    pub fn new(http: Http) -> Self {
        Self { http }
    }

    /// Reads a key as it is known locally at the member.
    pub fn get(&self, key: &str) -> Result<KeyAnswer, HttpError> {
        self.get_with(key, "")
    }

    /// Reads a key with a query such as `quorum=true&recursive=true`.
    pub fn get_with(&self, key: &str, query: &str) -> Result<KeyAnswer, HttpError> {
        self.send(&Request::get(target(key, query)))
    }

    /// Sets a key to a value.
    pub fn put(&self, key: &str, value: &str) -> Result<KeyAnswer, HttpError> {
        self.put_with(key, &format!("value={}", encode(value)))
    }

    /// Puts with a form, such as `value=1&ttl=5`, which must be percent-encoded.
    pub fn put_with(&self, key: &str, form: &str) -> Result<KeyAnswer, HttpError> {
        self.send(&Request::put(target(key, ""), form))
    }

    /// Creates a key with the next number for a name below a directory.
    pub fn post(&self, directory: &str, value: &str) -> Result<KeyAnswer, HttpError> {
        self.send(&Request::post(target(directory, ""), &format!("value={}", encode(value))))
    }

    /// Sets a key only if it has the value `previous`.
    pub fn cas(&self, key: &str, previous: &str, value: &str) -> Result<KeyAnswer, HttpError> {
        self.put_with(key, &format!("prevValue={}&value={}", encode(previous), encode(value)))
    }

    /// Sets a key only if it was last modified at `index`.
    pub fn cas_index(&self, key: &str, index: u64, value: &str) -> Result<KeyAnswer, HttpError> {
        self.put_with(key, &format!("prevIndex={index}&value={}", encode(value)))
    }

    /// Deletes a key that is no directory.
    pub fn delete(&self, key: &str) -> Result<KeyAnswer, HttpError> {
        self.delete_with(key, "")
    }

    /// Deletes with a query such as `recursive=true` or `prevIndex=7`.
    pub fn delete_with(&self, key: &str, query: &str) -> Result<KeyAnswer, HttpError> {
        self.send(&Request::delete(target(key, query)))
    }

    fn send(&self, request: &Request) -> Result<KeyAnswer, HttpError> {
        let answer = self.http.send(request)?;
        Ok(KeyAnswer { status: answer.status, json: answer.json(), answer })
    }
}

impl KeyAnswer {
    /// Whether the status says success.
    pub fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The store index in the headers.
    pub fn index(&self) -> Option<u64> {
        self.answer.etcd_index()
    }

    /// The value of the node in the answer.
    pub fn value(&self) -> Option<&str> {
        self.json["node"]["value"].as_str()
    }

    /// The modified index of the node in the answer.
    pub fn modified_index(&self) -> Option<u64> {
        self.json["node"]["modifiedIndex"].as_u64()
    }

    /// The error code, when the answer is an error.
    pub fn error_code(&self) -> Option<u64> {
        self.json["errorCode"].as_u64()
    }
}

/// Percent-encodes everything but unreserved characters and `/`.
fn encode(text: &str) -> String {
    let keep = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(byte);
    text.bytes()
        .map(|byte| if keep(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn target(key: &str, query: &str) -> String {
    let mark = if query.is_empty() { "" } else { "?" };
    format!("/v2/keys/{}{mark}{query}", encode(key.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_encoded_and_queries_are_not() {
        assert_eq!(target("/a b/ü", "x=%20"), "/v2/keys/a%20b/%C3%BC?x=%20");
        assert_eq!(target("a", ""), "/v2/keys/a");
    }
}
