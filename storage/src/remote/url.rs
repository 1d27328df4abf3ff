//! What the URL and the environment say about the object store.

use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3CopyIfNotExists};
use object_store::client::ClientConfigKey;
use object_store::path::Path as Key;
use object_store::{ObjectStoreScheme, RetryConfig};
use url::Url;

use crate::{Error, Result};

/// The longest time for a request: a chunk takes as long on a link of 0.6 Mbit/s.
const REQUEST: &str = "120 seconds";

/// A request that fails at once is repeated this often, within about a second. The caller then gets
/// the error, and waits longer. A request that timed out is repeated once.
const RETRIES: usize = 3;
const RETRY: Duration = Duration::from_secs(150);

/// What the user should check when a URL cannot be used.
pub(crate) fn to_check(url: &str) -> &'static str {
    match url.starts_with("file:") {
        true => "that the folder is there and writable, and that its disk has room",
        false => "the network, the AWS_ variables and the bucket",
    }
}

/// Checks a URL without opening it.
///
/// # Errors
/// [`Error::Config`] says what the URL must look like.
pub(crate) fn parse(url: &str) -> Result<(Url, ObjectStoreScheme, Key)> {
    let refuse = |message: &str| Error::Config { key: "storage.url", message: message.to_owned() };
    let expected = "must look like \"s3://bucket/folder\" or \"file:///mnt/folder\"";
    let parsed = Url::parse(url).map_err(|_| refuse(expected))?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        let message = "must not contain a key: put it into AWS_ACCESS_KEY_ID and \
                       AWS_SECRET_ACCESS_KEY";
        return Err(refuse(message));
    }
    let (scheme, folder) = ObjectStoreScheme::parse(&parsed).map_err(|_| refuse(expected))?;
    if !matches!(scheme, ObjectStoreScheme::AmazonS3 | ObjectStoreScheme::Local)
        || !matches!(parsed.scheme(), "s3" | "s3a" | "file")
    {
        return Err(refuse(expected));
    }
    if folder.is_root() {
        return Err(refuse("must name a folder in the bucket, a different one for each run"));
    }
    Ok((parsed, scheme, folder))
}

/// The client of a bucket. The first request looks up the credentials.
pub(super) fn s3(url: &Url) -> object_store::Result<AmazonS3> {
    let retry =
        RetryConfig { retry_timeout: RETRY, max_retries: RETRIES, ..RetryConfig::default() };
    let builder = AmazonS3Builder::from_env().with_url(url.as_str()).with_retry(retry);
    // The client's default of 30 s is too short for a chunk on a slow link.
    let timeout = AmazonS3ConfigKey::Client(ClientConfigKey::Timeout);
    let builder = match std::env::var_os("AWS_TIMEOUT") {
        None => builder.with_config(timeout, REQUEST),
        Some(_) => builder,
    };
    // Some stores need a header instead, which AWS_COPY_IF_NOT_EXISTS sets.
    let builder = match builder.get_config_value(&AmazonS3ConfigKey::CopyIfNotExists) {
        None => builder.with_copy_if_not_exists(S3CopyIfNotExists::Multipart),
        Some(_) => builder,
    };
    builder.build()
}
