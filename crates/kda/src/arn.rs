//! Names of AWS: what an ARN says, whole or with parts that only a stack knows.

/// What an ARN is to be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Stream,
    DeliveryStream,
    Function,
    Bucket,
}

/// A stream, a function or a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Without the parts that only a stack knows; `None` if that is not whole.
    pub arn: Option<String>,
    pub region: Option<String>,
    pub name: String,
}

/// What begins a part that only a stack knows: `${AWS::Region}`.
pub(crate) const UNKNOWN: &str = "${AWS::";

impl Kind {
    const fn service(self) -> &'static str {
        match self {
            Self::Stream => "kinesis",
            Self::DeliveryStream => "firehose",
            Self::Function => "lambda",
            Self::Bucket => "s3",
        }
    }

    /// What stands before the name.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Stream => "stream/",
            Self::DeliveryStream => "deliverystream/",
            Self::Function => "function:",
            Self::Bucket => "",
        }
    }

    pub(crate) const fn noun(self) -> &'static str {
        match self {
            Self::Stream => "Kinesis stream",
            Self::DeliveryStream => "Firehose stream",
            Self::Function => "Lambda function",
            Self::Bucket => "S3 bucket",
        }
    }

    /// How such an ARN looks.
    pub(crate) fn example(self) -> String {
        let (region, account) = if self == Self::Bucket { ("", "") } else { ("<region>", "<account>") };
        format!("arn:aws:{}:{region}:{account}:{}<name>", self.service(), self.prefix())
    }

    /// The ARN of a resource that a stack makes.
    pub(crate) fn of_stack(self, name: &str) -> String {
        let (region, account) = if self == Self::Bucket { ("", "") } else { ("${AWS::Region}", "${AWS::AccountId}") };
        format!("arn:aws:{}:{region}:{account}:{}{name}", self.service(), self.prefix())
    }
}

impl Resource {
    /// What the text says if it is an ARN of this kind.
    pub(crate) fn of_arn(kind: Kind, text: &str) -> Option<Self> {
        let mut parts = split(text).into_iter();
        let mut part = || parts.next().unwrap_or_default();
        let (head, _partition, service, region, _account, resource) = (part(), part(), part(), part(), part(), part());
        let name = resource.strip_prefix(kind.prefix())?;
        if head != "arn" || service != kind.service() {
            return None;
        }
        let is_whole = !text.contains(UNKNOWN);
        let region = (!region.is_empty() && !region.contains(UNKNOWN)).then(|| region.to_owned());
        let found = Self { arn: is_whole.then(|| text.to_owned()), region, name: known(name) };
        found.is_name(kind).then_some(found)
    }

    /// A resource of which only the name is known.
    pub(crate) fn of_name(kind: Kind, name: &str) -> Option<Self> {
        let found = Self { arn: None, region: None, name: known(name) };
        found.is_name(kind).then_some(found)
    }

    /// Whether AWS would take the name.
    fn is_name(&self, kind: Kind) -> bool {
        let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let may = |byte: u8| is_known(byte) || (kind == Kind::Function && b"$:".contains(&byte));
        !self.name.is_empty() && self.name.bytes().all(may)
    }
}

/// The six parts of an ARN. The `::` of what only a stack knows separates nothing.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut is_unknown) = (Vec::new(), 0, false);
    for (at, letter) in text.char_indices() {
        match letter {
            '$' => is_unknown = text[at..].starts_with(UNKNOWN),
            '}' => is_unknown = false,
            ':' if !is_unknown && parts.len() < 5 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The name with the words of what only a stack knows: `Region` for `${AWS::Region}`.
fn known(name: &str) -> String {
    if name.contains(UNKNOWN) { name.replace(UNKNOWN, "").replace('}', "") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_tells_region_and_name() {
        for (kind, arn, region, name) in [
            (Kind::Stream, "arn:aws:kinesis:eu-west-1:123456789012:stream/in", Some("eu-west-1"), "in"),
            (Kind::DeliveryStream, "arn:aws-cn:firehose:cn-north-1:1:deliverystream/f.1", Some("cn-north-1"), "f.1"),
            (Kind::Function, "arn:aws:lambda:us-east-1:1:function:f:$LATEST", Some("us-east-1"), "f:$LATEST"),
            (Kind::Bucket, "arn:aws:s3:::bucket-1", None, "bucket-1"),
        ] {
            let resource =
                Resource { arn: Some(arn.to_owned()), region: region.map(str::to_owned), name: name.to_owned() };
            assert_eq!(Resource::of_arn(kind, arn), Some(resource));
        }
    }

    #[test]
    fn what_a_stack_knows_is_left_out() {
        let arn = "arn:aws:kinesis:${AWS::Region}:${AWS::AccountId}:stream/${AWS::StackName}-in";
        let resource = Resource { arn: None, region: None, name: "StackName-in".to_owned() };
        assert_eq!(Resource::of_arn(Kind::Stream, arn), Some(resource));
        let made = Kind::Function.of_stack("f");
        assert_eq!(Resource::of_arn(Kind::Function, &made), Resource::of_name(Kind::Function, "f"));
    }

    #[test]
    fn other_arns_are_refused() {
        for arn in [
            "",
            "in",
            "arn:aws:kinesis:eu-west-1:1:stream/",
            "arn:aws:kinesis:eu-west-1:1:table/in",
            "arn:aws:firehose:eu-west-1:1:deliverystream/in",
            "arn:aws:kinesis:eu-west-1:1:stream/in'); DROP",
        ] {
            assert_eq!(Resource::of_arn(Kind::Stream, arn), None, "{arn}");
        }
        assert_eq!(Resource::of_name(Kind::Stream, "<name>"), None);
    }
}
