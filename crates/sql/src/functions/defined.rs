//! Functions that users define in SQL, `CREATE FUNCTION f(a DOUBLE) RETURN a / 2`. A call is planned as a function of
//! its declared type and then replaced by the body, before anything else looks at the plan: windows, keys and the
//! clock in a body are seen as if they were written at the call.

use std::hash::Hash;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, exec_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, TypeSignature, Volatility, cast,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::function_rewrite::ApplyFunctionRewrites;
use datafusion::sql::sqlparser::ast::{self, Spanned, Visit, Visitor};

use crate::catalog::Catalog;
use crate::parse::CreateFunction;
use crate::session::Session;
use crate::{Position, SqlError, type_name};

/// An expression may grow to this many parts when calls are replaced: a function that names its argument twice, called
/// on itself thirty times over, would have a thousand million.
const MAX_PARTS: usize = 10_000;
/// Words that look like functions and are read otherwise, so that a function of this name could not be called.
const SYNTAX: [&str; 21] = [
    "cast",
    "try_cast",
    "safe_cast",
    "convert",
    "extract",
    "exists",
    "floor",
    "ceil",
    "position",
    "substring",
    "trim",
    "overlay",
    "interval",
    "case",
    "if",
    "mod",
    "unnest",
    "unnest_outer",
    "unix_timestamp",
    "tumble",
    "descriptor",
];

/// A function in SQL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Function {
    pub name: String,
    pub parameters: Vec<FieldRef>,
    pub returns: DataType,
    /// Over columns that are the parameters; calls of other defined functions are replaced in it.
    body: Expr,
    /// The body as it was written.
    pub text: String,
}

impl Function {
    /// The name under which catalogs note that a function is used, apart from those of relations.
    #[must_use]
    pub fn key(name: &str) -> String {
        format!("{name}()")
    }

    /// `f(a DOUBLE, b DOUBLE)`.
    #[must_use]
    pub fn signature(&self) -> String {
        format!("{}({})", self.name, self.parameter_list())
    }

    /// `a DOUBLE, b DOUBLE`.
    pub(crate) fn parameter_list(&self) -> String {
        let parameter = |field: &FieldRef| format!("{} {}", field.name(), type_name(field.data_type()));
        self.parameters.iter().map(parameter).collect::<Vec<_>>().join(", ")
    }

    /// Whether arguments of these types may be given.
    fn check(&self, given: &[DataType]) -> Result<(), SqlError> {
        let (expected, found) = (self.parameters.len(), given.len());
        if expected != found {
            let message = format!("function `{}` takes {expected} arguments, found {found}", self.signature());
            return Err(SqlError::new(message));
        }
        let misfit = self.parameters.iter().zip(given).find(|(parameter, given)| !fits(given, parameter.data_type()));
        let Some((parameter, given)) = misfit else { return Ok(()) };
        let declared = type_name(parameter.data_type());
        let message = format!(
            "function `{}` takes {declared} for `{}`, found {}",
            self.signature(),
            parameter.name(),
            type_name(given),
        );
        Err(SqlError::new(message).hint(format!("write CAST(… AS {declared})")))
    }

    /// The function as the planner calls it, until the call is replaced.
    pub(crate) fn callable(self: &Arc<Self>) -> Arc<ScalarUDF> {
        let volatility = if self.body.is_volatile() { Volatility::Volatile } else { Volatility::Immutable };
        // Whatever the arguments are: they are checked with words of our own.
        let signature = Signature::one_of(vec![TypeSignature::Nullary, TypeSignature::VariadicAny], volatility);
        Arc::new(ScalarUDF::from(Call { function: Arc::clone(self), signature }))
    }
}

/// Resolves a declaration; answers what the body uses, too.
pub(crate) fn define(
    session: &Session,
    catalog: &Catalog,
    declaration: &CreateFunction,
) -> Result<(Function, Vec<String>), SqlError> {
    let name = &declaration.name;
    let refused = if name.text.contains('.') {
        Some("cannot be the name of a function: it has a dot")
    } else if session.has_function(&name.text) || SYNTAX.contains(&name.text.as_str()) {
        Some("is a function of the language and cannot be defined anew")
    } else {
        None
    };
    if let Some(reason) = refused {
        return Err(SqlError::new(format!("`{}` {reason}", name.text)).at(name.at).hint("choose another name"));
    }
    let parameter = |parameter: &crate::parse::Parameter| {
        Arc::new(Field::new(&parameter.name.text, parameter.data_type.clone(), true))
    };
    let parameters: Vec<FieldRef> = declaration.parameters.iter().map(parameter).collect();
    let schema = DFSchema::try_from(Schema::new(parameters.clone()))?;
    let at = Position::of(declaration.body.span()).or(name.at);
    let place = |error: SqlError| {
        let unknown_column = error.message.contains("No field named");
        let error = error.at(at);
        if unknown_column {
            error.hint(format!("the body of `{}` can use its parameters only", name.text))
        } else {
            error
        }
    };
    let (body, uses) = session.bind_expr(catalog, (*declaration.body).clone(), &schema).map_err(place)?;
    if let Some(what) = refused_part(&body)? {
        return Err(SqlError::new(format!("the body of `{}` has {what}, and is computed for each row", name.text))
            .at(at)
            .hint("use scalar expressions of the parameters"));
    }
    let body = Session::coerce(body, &schema).map_err(place)?.unalias_nested().data;
    let given = body.get_type(&schema)?;
    let returns = declaration.returns.clone().unwrap_or_else(|| given.clone());
    if !arrow::compute::can_cast_types(&given, &returns) {
        let message = format!("the body of `{}` is {}, not {}", name.text, type_name(&given), type_name(&returns));
        return Err(SqlError::new(message).at(at).hint("change RETURNS, or leave it out"));
    }
    let body = if given == returns { body } else { cast(body, returns.clone()) };
    let text = declaration.body.to_string();
    Ok((Function { name: name.text.clone(), parameters, returns, body, text }, uses))
}

/// What a body has that is not computed from one row.
fn refused_part(body: &Expr) -> Result<Option<&'static str>> {
    let mut found = None;
    body.apply(|part| {
        found = match part {
            Expr::AggregateFunction(_) => Some("an aggregate"),
            Expr::WindowFunction(_) => Some("an OVER window"),
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) => {
                Some("a subquery")
            }
            Expr::Unnest(_) => Some("unnest"),
            Expr::Placeholder(_) => Some("a placeholder"),
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        Ok(TreeNodeRecursion::Stop)
    })?;
    Ok(found)
}

/// Replaces every call in a plan by the function's body.
pub(crate) fn inline(plan: LogicalPlan, options: &ConfigOptions) -> Result<LogicalPlan> {
    ApplyFunctionRewrites::new(vec![Arc::new(Inline)]).analyze(plan, options)
}

/// Replaces every call in an expression.
pub(crate) fn inline_expr(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let options = ConfigOptions::default();
    Ok(expr.transform_up(|part| Inline.rewrite(part, schema, &options))?.data)
}

#[derive(Debug)]
struct Inline;

impl FunctionRewrite for Inline {
    fn name(&self) -> &'static str {
        "defined functions"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        let Expr::ScalarFunction(call) = &expr else { return Ok(Transformed::no(expr)) };
        let Some(Call { function, .. }) = call.func.inner().downcast_ref::<Call>() else {
            return Ok(Transformed::no(expr));
        };
        // In a WHERE nobody has asked for the type of the call yet, and so nobody has checked its arguments.
        let given = call.args.iter().map(|argument| argument.get_type(schema)).collect::<Result<Vec<_>>>()?;
        function.check(&given)?;
        let arguments =
            (function.parameters.iter().zip(given).zip(&call.args)).map(|((parameter, given), argument)| {
                let (declared, argument) = (parameter.data_type(), argument.clone().unalias_nested().data);
                if given == *declared { argument } else { cast(argument, declared.clone()) }
            });
        let arguments: Vec<Expr> = arguments.collect();
        let replaced = function.body.clone().transform_up(|part| {
            let parameter = match &part {
                Expr::Column(column) => {
                    function.parameters.iter().position(|parameter| *parameter.name() == column.name)
                }
                _ => None,
            };
            Ok(match parameter {
                Some(index) => Transformed::yes(arguments[index].clone()),
                None => Transformed::no(part),
            })
        })?;
        let mut parts = 0;
        replaced.data.apply(|_| {
            parts += 1;
            Ok(TreeNodeRecursion::Continue)
        })?;
        if parts > MAX_PARTS {
            let message = format!("a call of `{}` grows to {parts} parts, the limit is {MAX_PARTS}", function.name);
            return Err(SqlError::new(message).hint("compute a part of it in a view or a computed column").into());
        }
        Ok(Transformed::yes(replaced.data))
    }
}

/// A function as DataFusion plans it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Call {
    function: Arc<Function>,
    signature: Signature,
}

impl ScalarUDFImpl for Call {
    fn name(&self) -> &str {
        &self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.function.returns.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let function = &self.function;
        let given: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        function.check(&given)?;
        Ok(Arc::new(Field::new(self.name(), function.returns.clone(), true)))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("the call of {} was not replaced by its body", self.name())
    }
}

/// Whether an argument becomes its parameter by itself: it has the type, or one of the same family.
fn fits(given: &DataType, declared: &DataType) -> bool {
    let is_text = |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let is_time = |kind: &DataType| matches!(kind, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64);
    let is_time_of_day = |kind: &DataType| matches!(kind, DataType::Time32(_) | DataType::Time64(_));
    given == declared
        || given.is_null()
        || (given.is_numeric() && declared.is_numeric())
        || (is_text(given) && is_text(declared))
        || (is_time(given) && is_time(declared))
        || (is_time_of_day(given) && is_time_of_day(declared))
        || (given.is_nested() && arrow::compute::can_cast_types(given, declared))
}

/// Where the call stands that an error is about: the first of that function, with a wrong number of arguments if that
/// is what is wrong.
pub(crate) fn place_of(query: &impl Visit, catalog: &Catalog, error: &SqlError) -> Option<Position> {
    let function =
        catalog.functions().find(|function| error.message.contains(&format!("`{}`", function.signature())))?;
    let mut calls = Calls { name: &function.name, found: Vec::new() };
    let _ = query.visit(&mut calls);
    let expected = function.parameters.len();
    let miscounted = calls.found.iter().find(|(count, _)| *count != expected);
    miscounted.or_else(|| calls.found.first()).and_then(|(_, at)| *at)
}

/// The calls of a function: how many arguments, and where.
struct Calls<'a> {
    name: &'a str,
    found: Vec<(usize, Option<Position>)>,
}

impl Visitor for Calls<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
        if let ast::Expr::Function(function) = expr
            && let [ast::ObjectNamePart::Identifier(name)] = function.name.0.as_slice()
            && crate::parse::fold(name) == self.name
        {
            let arguments = match &function.args {
                ast::FunctionArguments::List(list) => list.args.len(),
                _ => 0,
            };
            self.found.push((arguments, Position::of(name.span)));
        }
        ControlFlow::Continue(())
    }
}
