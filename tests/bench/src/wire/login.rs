//! A user's name and password, and the header that carries them.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding as _};

/// Whom requests come from. Its `Debug` shows no password.
#[derive(Clone, Eq, PartialEq)]
pub struct Login {
    /// The user.
    pub name: String,
    /// The password.
    pub password: String,
}

impl Login {
    /// The header line, with its end.
    #[must_use]
    pub fn header(&self) -> String {
        let pair = format!("{}:{}", self.name, self.password);
        format!("Authorization: Basic {}\r\n", Base64::encode_string(pair.as_bytes()))
    }
}

impl FromStr for Login {
    type Err = String;

    /// Reads `NAME:PASSWORD`. Neither may need escaping in JSON.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((name, password)) if !name.is_empty() && !password.is_empty() => {
                if text.contains(['"', '\\']) || text.chars().any(char::is_control) {
                    return Err("quotes, backslashes and control characters are not taken".into());
                }
                Ok(Self { name: name.to_owned(), password: password.to_owned() })
            }
            _ => Err("write NAME:PASSWORD".to_owned()),
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_basic_authorization_and_shows_no_password() {
        let login: Login = "alice:pw:2".parse().expect("a login");
        assert_eq!(login.header(), "Authorization: Basic YWxpY2U6cHc6Mg==\r\n");
        assert!(!format!("{login:?}").contains("pw"));
        for bad in ["alice", ":pw", "alice:", "a\"b:c"] {
            bad.parse::<Login>().expect_err(bad);
        }
    }
}
