// Millstream's SQL for the editor: DataFusion's expressions, Flink's DDL and window functions.
import { SQLDialect } from "@codemirror/lang-sql";

const KEYWORDS = `all alter and any as asc begin between by case cast create cross current default delete desc distinct drop
  else end except exists explain extract false fetch filter first following for from full group having if in inner insert intersect
  interval into is join last left like ilike limit natural not null nulls of offset on or order outer over partition preceding primary
  key range replace returns right row rows select set show similar some system table tables then to true unbounded union unique unnest
  using values view when where window with within
  year month week day hour minute second
  anti asof cumulate descriptor describe function hop lateral materialized metadata pause pump qualify queries query resume
  retention return semi session stagger statement stream streams temporary ttl tumble virtual watermark windowed`;
const TYPES = "string bigint double float real int integer smallint tinyint boolean timestamp timestamp_ltz date time decimal row array map bytes varbinary varchar";
const FUNCTIONS = "abs approx_distinct array_agg avg coalesce concat count date_bin date_trunc first_value lag last_value lead lower max min now round row_number sum upper window_end window_start";

export const MillstreamSQL = SQLDialect.define({ keywords: KEYWORDS, types: TYPES, builtin: FUNCTIONS });
