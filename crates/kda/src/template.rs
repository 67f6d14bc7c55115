//! Templates of AWS `CloudFormation`: what their references lead to, as far as the template tells.
//!
//! What only a stack knows is shown by its name: the logical id of a resource without a name of its own, the name of a
//! parameter without a default, `${AWS::Region}`.

use serde_json::{Map, Value};

use crate::arn::Kind;

/// References may lead to references, so far.
const DEPTH_MAX: usize = 16;

/// The parts of a template that references lead to.
pub(crate) struct Template<'a> {
    parameters: Option<&'a Map<String, Value>>,
    /// None for a resource by itself.
    resources: Option<&'a Map<String, Value>>,
}

/// A text that a function of the template makes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) text: String,
    /// Names that stand for values that only a stack knows.
    pub(crate) guessed: Vec<String>,
}

/// Resources with names of their own: the type, the property that holds the name, and what their ARNs are of.
const NAMED: [(&str, &str, Option<Kind>); 8] = [
    ("AWS::Kinesis::Stream", "Name", Some(Kind::Stream)),
    ("AWS::KinesisFirehose::DeliveryStream", "DeliveryStreamName", Some(Kind::DeliveryStream)),
    ("AWS::Lambda::Function", "FunctionName", Some(Kind::Function)),
    ("AWS::Serverless::Function", "FunctionName", Some(Kind::Function)),
    ("AWS::Lambda::Alias", "Name", None),
    ("AWS::S3::Bucket", "BucketName", Some(Kind::Bucket)),
    ("AWS::KinesisAnalytics::Application", "ApplicationName", None),
    ("AWS::KinesisAnalyticsV2::Application", "ApplicationName", None),
];

impl<'a> Template<'a> {
    pub(crate) fn new(parameters: Option<&'a Value>, resources: Option<&'a Map<String, Value>>) -> Self {
        Self { parameters: parameters.and_then(Value::as_object), resources }
    }

    /// The text that a value makes; the error says what is to be done.
    pub(crate) fn text(&self, value: &Value) -> Result<Resolved, String> {
        let mut resolving = Resolving { template: self, guessed: Vec::new() };
        let text = resolving.text(value, 0)?;
        Ok(Resolved { text, guessed: resolving.guessed })
    }
}

struct Resolving<'a> {
    template: &'a Template<'a>,
    guessed: Vec<String>,
}

impl<'a> Resolving<'a> {
    fn resource(&self, id: &str) -> Option<&'a Value> {
        self.template.resources?.get(id)
    }

    fn text(&mut self, value: &Value, depth: usize) -> Result<String, String> {
        if depth > DEPTH_MAX {
            return Err("refers to itself; write its value in".to_owned());
        }
        match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            Value::Object(members) if members.len() == 1 => {
                let Some((function, argument)) = members.iter().next() else { return Err(no_text()) };
                self.function(function, argument, depth + 1)
            }
            _ => Err(no_text()),
        }
    }

    fn function(&mut self, function: &str, argument: &Value, depth: usize) -> Result<String, String> {
        let malformed = || Err(format!("`{function}` has another form here than CloudFormation gives it"));
        match function {
            "Ref" => argument.as_str().map_or_else(malformed, |name| self.reference(name, depth)),
            "Fn::GetAtt" => match argument {
                Value::String(whole) => {
                    whole.split_once('.').map_or_else(malformed, |(id, name)| self.attribute(id, name, depth))
                }
                Value::Array(parts) => match &parts[..] {
                    [Value::String(id), Value::String(name)] => self.attribute(id, name, depth),
                    _ => malformed(),
                },
                _ => malformed(),
            },
            "Fn::Join" => match argument.as_array().map(Vec::as_slice) {
                Some([Value::String(delimiter), Value::Array(parts)]) => {
                    let parts: Result<Vec<_>, _> = parts.iter().map(|part| self.text(part, depth)).collect();
                    Ok(parts?.join(delimiter))
                }
                _ => malformed(),
            },
            "Fn::Sub" => match argument {
                Value::String(text) => self.substitute(text, None, depth),
                Value::Array(parts) => match &parts[..] {
                    [Value::String(text), Value::Object(values)] => self.substitute(text, Some(values), depth),
                    _ => malformed(),
                },
                _ => malformed(),
            },
            other => Err(format!("`{other}` is not computed here; write its value in")),
        }
    }

    fn reference(&mut self, name: &str, depth: usize) -> Result<String, String> {
        match name {
            "AWS::Partition" => return Ok("aws".to_owned()),
            "AWS::URLSuffix" => return Ok("amazonaws.com".to_owned()),
            // Every ARN has them: nothing is lost without.
            "AWS::Region" | "AWS::AccountId" => return Ok(format!("${{{name}}}")),
            pseudo if pseudo.starts_with("AWS::") => {
                self.guess(pseudo);
                return Ok(format!("${{{pseudo}}}"));
            }
            _ => {}
        }
        if let Some(parameter) = self.template.parameters.and_then(|parameters| parameters.get(name)) {
            return match parameter.get("Default").filter(|default| default.is_string() || default.is_number()) {
                Some(default) => self.text(default, depth),
                None => Ok(self.guess(name)),
            };
        }
        self.name_of(name, depth)
    }

    fn attribute(&mut self, id: &str, attribute: &str, depth: usize) -> Result<String, String> {
        let kind = self.resource(id).and_then(named).and_then(|(_, kind)| kind);
        let name = self.name_of(id, depth)?;
        match kind {
            Some(kind) if attribute == "Arn" => Ok(kind.of_stack(&name)),
            _ => Ok(name),
        }
    }

    /// The name of a resource: its own, or its logical id.
    fn name_of(&mut self, id: &str, depth: usize) -> Result<String, String> {
        let resource = self.resource(id);
        let property = resource.and_then(named).map(|(property, _)| property);
        let name = property.and_then(|property| resource?.get("Properties")?.get(property));
        match name {
            Some(name) => self.text(name, depth),
            None => Ok(self.guess(id)),
        }
    }

    /// `${name}`, `${id.attribute}`; `${!x}` is `${x}`, to the letter.
    fn substitute(&mut self, text: &str, values: Option<&Map<String, Value>>, depth: usize) -> Result<String, String> {
        let (mut done, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, after)) = after.split_once('}') else { break };
            done.push_str(before);
            rest = after;
            if let Some(literal) = name.strip_prefix('!') {
                done.extend(["${", literal, "}"]);
                continue;
            }
            let name = name.trim();
            done.push_str(&match (values.and_then(|values| values.get(name)), name.split_once('.')) {
                (Some(value), _) => self.text(value, depth)?,
                (None, Some((id, attribute))) => self.attribute(id, attribute, depth)?,
                (None, None) => self.reference(name, depth)?,
            });
        }
        done.push_str(rest);
        Ok(done)
    }

    fn guess(&mut self, name: &str) -> String {
        if !self.guessed.iter().any(|known| known == name) {
            self.guessed.push(name.to_owned());
        }
        name.to_owned()
    }
}

/// The property that names a resource, and what its ARN is of.
fn named(resource: &Value) -> Option<(&'static str, Option<Kind>)> {
    let found = resource.get("Type")?.as_str()?;
    NAMED.iter().find(|(name, ..)| *name == found).map(|(_, property, kind)| (*property, *kind))
}

fn no_text() -> String {
    "expected a text, or one of Ref, Fn::GetAtt, Fn::Join and Fn::Sub".to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_lead_to_names_and_arns() {
        let resources = json!({
            "In": {"Type": "AWS::Kinesis::Stream", "Properties": {"Name": {"Fn::Sub": "${Stage}-in"}}},
            "Out": {"Type": "AWS::Kinesis::Stream"},
            "Loop": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": {"Ref": "Loop"}}},
        });
        let parameters = json!({"Stage": {"Type": "String", "Default": "test"}, "Other": {"Type": "String"}});
        let template = Template::new(Some(&parameters), resources.as_object());
        let guessed = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (value, text, names) in [
            (json!("plain ${In}"), "plain ${In}", &[][..]),
            (json!({"Ref": "In"}), "test-in", &[]),
            (json!({"Ref": "Out"}), "Out", &["Out"]),
            (json!({"Ref": "Other"}), "Other", &["Other"]),
            (json!({"Ref": "AWS::Region"}), "${AWS::Region}", &[]),
            (
                json!({"Fn::GetAtt": ["In", "Arn"]}),
                "arn:aws:kinesis:${AWS::Region}:${AWS::AccountId}:stream/test-in",
                &[],
            ),
            (json!({"Fn::GetAtt": "Nowhere.Arn"}), "Nowhere", &["Nowhere"]),
            (
                json!({"Fn::Join": ["-", ["a", {"Ref": "Stage"}, {"Ref": "Out"}, {"Ref": "Out"}]]}),
                "a-test-Out-Out",
                &["Out"],
            ),
            (
                json!({"Fn::Sub": ["${x} ${!y} ${AWS::Partition} ${Out} ${open", {"x": {"Ref": "In"}}]}),
                "test-in ${y} aws Out ${open",
                &["Out"],
            ),
        ] {
            let resolved = Resolved { text: text.to_owned(), guessed: guessed(names) };
            assert_eq!(template.text(&value), Ok(resolved), "{value}");
        }
        for (value, error) in [
            (json!({"Ref": "Loop"}), "refers to itself"),
            (json!({"Fn::If": ["a", "b", "c"]}), "`Fn::If` is not computed here; write its value in"),
            (json!({"Fn::Join": "a"}), "`Fn::Join` has another form here"),
            (json!({"Ref": 1}), "`Ref` has another form here"),
            (json!([1]), "expected a text"),
            (json!({"a": 1, "b": 2}), "expected a text"),
        ] {
            let found = template.text(&value).unwrap_err();
            assert!(found.starts_with(error), "{found}");
        }
    }
}
