//! Whether a request body is a form, judged from its `Content-Type` as Go's `mime.ParseMediaType` judges.
//!
//! A header that cannot be read is an error even where the body would have been ignored. Left out: parameter values.

/// What a form's media type is.
const FORM: &str = "application/x-www-form-urlencoded";

/// Why a `Content-Type` cannot be read. `Display` is the text Go gives for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum ContentTypeError {
    /// Nothing that names a type.
    #[error("mime: no media type")]
    NoType,
    /// A type that is neither alone nor followed by a subtype.
    #[error("mime: expected slash after first token")]
    NoSlash,
    /// A slash without a subtype.
    #[error("mime: expected token after slash")]
    NoSubtype,
    /// More than `type/subtype` before the parameters.
    #[error("mime: unexpected content after media subtype")]
    TrailingContent,
    /// A parameter that is not `name=value`.
    #[error("mime: invalid media parameter")]
    BadParameter,
    /// The same parameter twice.
    #[error("mime: duplicate parameter name")]
    DuplicateParameter,
}

/// Whether `header` announces a form body. No header at all announces none.
///
/// # Errors
/// The header is not a media type with parameters.
pub(super) fn announces_form(header: &[u8]) -> Result<bool, ContentTypeError> {
    if header == FORM.as_bytes() {
        return Ok(true);
    }
    if header.is_empty() {
        return Ok(false);
    }
    let base_end = header.iter().position(|&byte| byte == b';').unwrap_or(header.len());
    let (base, parameters) = header.split_at(base_end);
    let base = base.trim_ascii();
    check_type(base)?;
    check_parameters(parameters)?;
    Ok(base.eq_ignore_ascii_case(FORM.as_bytes()))
}

fn check_type(base: &[u8]) -> Result<(), ContentTypeError> {
    let (kind, rest) = token(base);
    if kind.is_empty() {
        return Err(ContentTypeError::NoType);
    }
    let Some((slash, rest)) = rest.split_first() else { return Ok(()) };
    if *slash != b'/' {
        return Err(ContentTypeError::NoSlash);
    }
    match token(rest) {
        (b"", _) => Err(ContentTypeError::NoSubtype),
        (_, b"") => Ok(()),
        _ => Err(ContentTypeError::TrailingContent),
    }
}

/// How many parameters are remembered to find duplicates; a header with more is refused.
const PARAMETERS_MAX: usize = 16;

fn check_parameters(parameters: &[u8]) -> Result<(), ContentTypeError> {
    let mut seen: Vec<Vec<u8>> = Vec::new();
    let mut rest = parameters.trim_ascii_start();
    while !rest.is_empty() {
        let Some((name, after)) = parameter(rest) else {
            // One semicolon at the end is forgiven.
            return if rest.trim_ascii() == b";" {
                Ok(())
            } else {
                Err(ContentTypeError::BadParameter)
            };
        };
        let name = name.to_ascii_lowercase();
        if seen.len() >= PARAMETERS_MAX {
            return Err(ContentTypeError::BadParameter);
        }
        if seen.contains(&name) {
            return Err(ContentTypeError::DuplicateParameter);
        }
        seen.push(name);
        rest = after.trim_ascii_start();
    }
    Ok(())
}

/// The name of the `; name=value` at the start of `text`, and what follows it.
fn parameter(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, rest) = token(text.strip_prefix(b";")?.trim_ascii_start());
    let value = rest.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let after = match value.strip_prefix(b"\"") {
        Some(quoted) => after_quoted(quoted)?,
        None => match token(value) {
            (b"", _) => return None,
            (_, after) => after,
        },
    };
    (!name.is_empty()).then_some((name, after))
}

fn after_quoted(quoted: &[u8]) -> Option<&[u8]> {
    let mut rest = quoted;
    loop {
        match rest {
            [b'"', after @ ..] => return Some(after),
            [b'\\', special, after @ ..] if is_special(*special) => rest = after,
            [b'\r' | b'\n', ..] | [] => return None,
            [_, after @ ..] => rest = after,
        }
    }
}

fn token(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| !byte.is_ascii_graphic() || is_special(byte));
    text.split_at(end.unwrap_or(text.len()))
}

fn is_special(byte: u8) -> bool {
    b"()<>@,;:\\\"/[]?=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ContentTypeError as E;

    #[test]
    fn judged_as_go_judges() {
        let cases: [(&str, Result<bool, E>); 18] = [
            ("", Ok(false)),
            ("application/x-www-form-urlencoded", Ok(true)),
            ("Application/X-WWW-form-urlencoded ; charset=\"utf-8\"", Ok(true)),
            ("application/x-www-form-urlencoded; charset=utf-8; x=y;", Ok(true)),
            ("application/x-www-form-urlencoded;", Ok(true)),
            ("application/json", Ok(false)),
            ("multipart/form-data; boundary=x", Ok(false)),
            ("form", Ok(false)),
            ("application/x-www-form-urlencoded; charset", Err(E::BadParameter)),
            ("application/x-www-form-urlencoded; charset=", Err(E::BadParameter)),
            ("application/x-www-form-urlencoded;;", Err(E::BadParameter)),
            ("application/x-www-form-urlencoded; a=\"x", Err(E::BadParameter)),
            ("application/x-www-form-urlencoded; a=\"\\\"\"", Ok(true)),
            ("application/x-www-form-urlencoded; a=b; A=c", Err(E::DuplicateParameter)),
            ("/", Err(E::NoType)),
            ("a b", Err(E::NoSlash)),
            ("a/", Err(E::NoSubtype)),
            ("a/b c", Err(E::TrailingContent)),
        ];
        for (header, expected) in cases {
            assert_eq!(announces_form(header.as_bytes()), expected, "{header:?}");
        }
    }
}
