//! The shapes that a description may have, and where in each the parts of the application are.

use serde_json::{Map, Value};

use crate::node::{Findings, Node, member_path};
use crate::template::Template;

/// Where the parts of an application are.
pub(crate) struct Shape<'a> {
    pub(crate) name: Option<Node<'a>>,
    /// Absent, an application for Apache Flink or a request of the first version of the API.
    pub(crate) runtime: Option<Node<'a>>,
    pub(crate) code: Code<'a>,
    pub(crate) inputs: Vec<Node<'a>>,
    pub(crate) references: Vec<Node<'a>>,
    pub(crate) outputs: Vec<Node<'a>>,
}

/// The SQL, or where it should be.
pub(crate) enum Code<'a> {
    At(Node<'a>),
    /// In a place that is not read: an object of S3, an archive.
    Elsewhere(Node<'a>),
    Missing(String),
}

const APPLICATION: [&str; 2] = ["AWS::KinesisAnalytics::Application", "AWS::KinesisAnalyticsV2::Application"];
const OUTPUT: [&str; 2] = ["AWS::KinesisAnalytics::ApplicationOutput", "AWS::KinesisAnalyticsV2::ApplicationOutput"];
const REFERENCE: [&str; 2] = [
    "AWS::KinesisAnalytics::ApplicationReferenceDataSource",
    "AWS::KinesisAnalyticsV2::ApplicationReferenceDataSource",
];

/// What is accepted, for those who give something else.
const ACCEPTED: &str = "expected a CreateApplication request, a DescribeApplication reply, or a template or resource \
                        AWS::KinesisAnalytics::Application of CloudFormation: `aws kinesisanalytics \
                        describe-application --application-name NAME` prints one";

/// The references of a template, if the description is one.
pub(crate) fn template(root: &Value) -> Option<Template<'_>> {
    let resources = resources(root);
    (resources.is_some() || is_resource(root)).then(|| Template::new(root.get("Parameters"), resources))
}

/// The shape of a description; what keeps it from having one is among the findings.
pub(crate) fn of<'a>(root: &'a Value, findings: &'a Findings<'a>) -> Option<Shape<'a>> {
    let node = Node::new(root, "$", findings);
    if !root.is_object() {
        node.problem(ACCEPTED);
        return None;
    }
    if let Some(resources) = resources(root) {
        let path = if root.get("Resources").is_some() { "$.Resources" } else { "$" };
        return of_template(resources, path, &node, findings);
    }
    if is_resource(root) {
        return of_resource(&node);
    }
    let application = node.get("ApplicationDetail").unwrap_or_else(|| node.clone());
    let is_described = ["ApplicationCode", "Inputs", "InputDescriptions", "ApplicationConfiguration"]
        .into_iter()
        .any(|name| application.described(name).is_some());
    if is_described || application.get("RuntimeEnvironment").is_some() {
        return Some(of_application(&application));
    }
    application.problem(ACCEPTED);
    None
}

/// A template's resources: its member, or those of a fragment without one.
fn resources(root: &Value) -> Option<&Map<String, Value>> {
    if let Some(resources) = root.get("Resources") {
        return resources.as_object();
    }
    let members = root.as_object()?;
    let is_fragment = !members.is_empty() && members.values().all(is_any_resource);
    is_fragment.then_some(members)
}

fn is_any_resource(value: &Value) -> bool {
    value.get("Type").is_some_and(Value::is_string) && value.get("Properties").is_some()
}

/// Whether it is a resource by itself.
fn is_resource(root: &Value) -> bool {
    root.get("Type").and_then(Value::as_str).is_some_and(|name| name.starts_with("AWS::"))
}

fn has_type(resource: &Value, types: &[&str]) -> bool {
    resource.get("Type").and_then(Value::as_str).is_some_and(|found| types.contains(&found))
}

fn of_template<'a>(
    resources: &'a Map<String, Value>,
    path: &str,
    root: &Node<'a>,
    findings: &'a Findings<'a>,
) -> Option<Shape<'a>> {
    let of_type = |types: &[&str]| -> Vec<(&'a str, Node<'a>)> {
        let found = resources.iter().filter(|(_, resource)| has_type(resource, types));
        found.map(|(id, resource)| (id.as_str(), Node::new(resource, member_path(path, id), findings))).collect()
    };
    let applications = of_type(&APPLICATION);
    let [(id, application)] = &applications[..] else {
        let ids: Vec<&str> = applications.iter().map(|(id, _)| *id).collect();
        root.problem(if ids.is_empty() {
            "has no resource AWS::KinesisAnalytics::Application or AWS::KinesisAnalyticsV2::Application".to_owned()
        } else {
            format!("has {} applications ({}); leave one in it", ids.len(), ids.join(", "))
        });
        return None;
    };
    let mut shape = of_resource(application)?;
    let name = shape.name.as_ref().and_then(Node::text);
    // A resource of another application is none of this one's.
    let is_ours = |properties: &Node<'a>| {
        let Some(owner) = properties.get("ApplicationName") else { return true };
        let is_reference = owner.value.get("Ref").is_some_and(|to| to == id);
        is_reference || owner.text().is_none_or(|owner| Some(&owner) == name.as_ref())
    };
    for (types, member, into) in
        [(&OUTPUT, "Output", &mut shape.outputs), (&REFERENCE, "ReferenceDataSource", &mut shape.references)]
    {
        for (other, resource) in of_type(types) {
            let Some(properties) = resource.required("Properties", "write what it consists of") else { continue };
            if is_ours(&properties) {
                into.extend(properties.required(member, "write what it consists of"));
            } else {
                resource.warning(&format!("{other} is left out: its ApplicationName is not that of {id}"));
            }
        }
    }
    Some(shape)
}

fn of_resource<'a>(resource: &Node<'a>) -> Option<Shape<'a>> {
    if !has_type(resource.value, &APPLICATION) {
        resource.problem(
            "is no application; give the resource AWS::KinesisAnalytics::Application, or a template that has it and \
             its outputs",
        );
        return None;
    }
    let properties = resource.required("Properties", "write what the application consists of")?;
    Some(of_application(&properties))
}

/// An application of either version, in a request, in a reply or in a template.
fn of_application<'a>(application: &Node<'a>) -> Shape<'a> {
    let configuration = application.described("ApplicationConfiguration");
    let is_second = configuration.is_some() || application.get("RuntimeEnvironment").is_some();
    let sql = configuration.as_ref().and_then(|configuration| configuration.described("SqlApplicationConfiguration"));
    let parts = if is_second { sql } else { Some(application.clone()) };
    let list = |requested: &str, described: &str| -> Vec<Node<'a>> {
        let found = parts.as_ref().and_then(|parts| parts.get(requested).or_else(|| parts.get(described)));
        found.map(|list| list.items()).unwrap_or_default()
    };
    Shape {
        name: application.get("ApplicationName"),
        runtime: application.get("RuntimeEnvironment"),
        code: if is_second { second_code(application, configuration.as_ref()) } else { first_code(application) },
        inputs: list("Inputs", "InputDescriptions"),
        references: list("ReferenceDataSources", "ReferenceDataSourceDescriptions"),
        outputs: list("Outputs", "OutputDescriptions"),
    }
}

fn first_code<'a>(application: &Node<'a>) -> Code<'a> {
    let missing = || Code::Missing(member_path(&application.path, "ApplicationCode"));
    application.get("ApplicationCode").map_or_else(missing, Code::At)
}

fn second_code<'a>(application: &Node<'a>, configuration: Option<&Node<'a>>) -> Code<'a> {
    let Some(configuration) = configuration else {
        return Code::Missing(member_path(&application.path, "ApplicationConfiguration"));
    };
    let Some(code) = configuration.described("ApplicationCodeConfiguration") else {
        return Code::Missing(member_path(&configuration.path, "ApplicationCodeConfiguration"));
    };
    let Some(content) = code.described("CodeContent") else {
        return Code::Missing(member_path(&code.path, "CodeContent"));
    };
    if let Some(text) = content.get("TextContent") {
        return Code::At(text);
    }
    let elsewhere =
        ["S3ContentLocation", "S3ApplicationCodeLocation", "ZipFileContent"].map(|name| content.described(name));
    match elsewhere.into_iter().flatten().next() {
        Some(place) => Code::Elsewhere(place),
        None => Code::Missing(member_path(&content.path, "TextContent")),
    }
}
