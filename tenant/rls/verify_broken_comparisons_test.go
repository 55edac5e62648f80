package rls_test

import "strings"

// brokenComparisons take two tenants for one.
var brokenComparisons = comparisons("", map[string]string{
	"trimmed":                     "trim(tenant_id) = trim($S)",
	"trimmed on one side":         "tenant_id = rtrim($S)",
	"trimmed on the other side":   "ltrim(tenant_id) = $S",
	"trimmed of punctuation":      "btrim(tenant_id, '-_') = btrim($S, '-_')",
	"trimmed of leading zeros":    "ltrim(tenant_id, '0') = ltrim($S, '0')",
	"in lower case":               "lower(tenant_id) = lower($S)",
	"in lower case on one side":   "tenant_id = lower($S)",
	"in upper case on one side":   "tenant_id = upper($S)",
	"by ILIKE":                    "tenant_id ilike $S",
	"normalized":                  "normalize(tenant_id) = normalize($S)",
	"without accents":             "translate(tenant_id, 'é', 'e') = translate($S, 'é', 'e')",
	"without hyphens":             "replace(tenant_id, '-', '') = replace($S, '-', '')",
	"without punctuation":         "regexp_replace(tenant_id, '[^a-z0-9]', '', 'g') = regexp_replace($S, '[^a-z0-9]', '', 'g')",
	"cast to a number":            "tenant_id::bigint = $S::bigint",
	"cast to numeric":             "tenant_id::numeric = $S::numeric",
	"cast to a float":             "tenant_id::float8 = $S::float8",
	"cast to a UUID":              "tenant_id::uuid = $S::uuid",
	"cast to a date":              "tenant_id::date = $S::date",
	"cast to a time":              "tenant_id::timestamptz = $S::timestamptz",
	"cast to a boolean":           "tenant_id::boolean = $S::boolean",
	"cast to an address":          "tenant_id::inet = $S::inet",
	"cast to a padded text":       "tenant_id::bpchar = $S::bpchar",
	"cast to a name":              "tenant_id::name = $S::name",
	"cut to 40 characters":        "left(tenant_id, 40) = left($S, 40)",
	"cut to 200 characters":       "substr(tenant_id, 1, 200) = substr($S, 1, 200)",
	"cut by a cast":               "tenant_id = $S::varchar(100)",
	"cut from the start":          "right(tenant_id, 120) = right($S, 120)",
	"split at a colon":            "split_part(tenant_id, ':', 1) = split_part($S, ':', 1)",
	"split at a slash, one side":  "split_part(tenant_id, '/', 1) = $S",
	"split at a slash, the end":   "split_part(tenant_id, '/', 2) = $S",
	"split at a dot, other side":  "tenant_id = split_part($S, '.', 1)",
	"split at an at sign, end":    "tenant_id = split_part($S, '@', -1)",
	"split into an array":         "(string_to_array(tenant_id, '|'))[1] = $S",
	"split by a regular pattern":  "substring(tenant_id from '^[a-z0-9]+') = $S",
	"split by a pattern, setting": "tenant_id = substring($S from '^[^#]+')",
}, "")

// comparisons makes a case of each condition. $S is the tenant of the session.
func comparisons(before string, conditions map[string]string, table string) (out []brokenCase) {
	if table == "" {
		table = "shop.orders"
	}
	for name, condition := range conditions {
		out = append(out, brokenCase{
			name: "a tenant " + name, ddl: before + "alter policy tenant_select on " + table + " using (" + strings.ReplaceAll(condition, "$S", myTenant) + ")",
			code: "policy-open-to-others", level: "error", object: table + ".tenant_select",
		})
	}
	return out
}

func init() {
	brokenComparisons = append(brokenComparisons, comparisons(typedTable("uuid"), map[string]string{
		"of a UUID that is cut":                "left(tenant_id::text, 8) = left($S, 8)",
		"of a UUID that is cut at the end":     "right(tenant_id::text, 12) = right($S, 12)",
		"of a UUID that is cut late":           "left(tenant_id::text, 35) = left($S, 35)",
		"of a UUID that is cut from the start": "substr(tenant_id::text, 2) = substr($S, 2)",
	}, "shop.typed")...)
	brokenComparisons = append(brokenComparisons, comparisons(typedTable("bigint"), map[string]string{
		"of a number that is cut":     "left(tenant_id::text, 3) = left($S, 3)",
		"of a number that is rounded": "tenant_id / 10 = $S::bigint / 10",
	}, "shop.typed")...)
	brokenComparisons = append(brokenComparisons, comparisons("reset role; create extension citext; set role $OWNER;", map[string]string{
		"cast to citext": "tenant_id::citext = $S::citext",
	}, "")...)
	brokenComparisons = append(brokenComparisons, comparisons("create collation shop.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);", map[string]string{
		"in another collation": `tenant_id collate shop.ci = $S`,
	}, "")...)
}
