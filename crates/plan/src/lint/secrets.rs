//! Which names of variables sound like secrets.

const SECRET_WORDS: [&str; 10] = [
    "apikey",
    "auth",
    "credential",
    "credentials",
    "key",
    "password",
    "pword",
    "passwd",
    "secret",
    "token",
];

const HARMLESS_WORDS: [&str; 3] = ["public", "file", "version"];

/// Whether one of the words of `name`, which `_` parts, is a secret's, and none tells that it is harmless.
pub fn is_secret_name(name: &str) -> bool {
    let lower = name.to_lowercase();
    let has = |words: &[&str]| lower.split('_').any(|word| words.contains(&word));
    has(&SECRET_WORDS) && !has(&HARMLESS_WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_name_tell_a_secret() {
        for name in [
            "API_KEY",
            "DATABASE_PASSWORD",
            "token",
            "secret_MESSAGE",
            "AUTH",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "PUBLIC_KEY",
            "KEY_FILE",
            "TOKEN_VERSION",
            "MONKEY",
            "AUTHOR",
            "tokens",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
