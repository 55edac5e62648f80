package orchestrator_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/testkit"
)

var defaults = map[string]string{
	orchestrator.MaxCapacity: "1000", orchestrator.DefaultTimeoutMS: "30000", orchestrator.MaxRetries: "3",
	orchestrator.PriorityMode: `"priority"`, orchestrator.PersistenceEnabled: "true",
}

func settings(t testing.TB, c *orchestrator.Client) map[string]string {
	t.Helper()
	all, err := c.Config(t.Context())
	require.NoError(t, err)
	out := map[string]string{}
	for key, value := range all {
		out[key] = string(value)
	}
	return out
}

// A start adds the settings that are missing, and leaves an operator's as they are.
func TestTheStartAddsWhatIsMissing(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var c *orchestrator.Client
	var db *fxdb.DB
	app := fxtest.New(t, fxdb.Module, orchestrator.Module, testkit.Swap(t), fx.Populate(&c, &db))
	app.RequireStart()
	require.Equal(t, defaults, settings(t, c))
	app.RequireStop()

	_, err := testkit.OwnerPool(t, db).Exec(t.Context(), `delete from orchestrator.queue_config where config_key <> 'max_capacity';
		update orchestrator.queue_config set config_value = '7', description = 'mine', updated_by = 'me'`)
	require.NoError(t, err)
	next := fxtest.New(t, fxdb.Module, orchestrator.Module, fx.Replace(fxdb.Config{URL: db.Pool().Config().ConnString()}), fx.Populate(&c))
	next.RequireStart()
	defer next.RequireStop()
	want := map[string]string{}
	for key, value := range defaults {
		want[key] = value
	}
	want[orchestrator.MaxCapacity] = "7"
	require.Equal(t, want, settings(t, c))
	var description, by string
	require.NoError(t, testkit.OwnerPool(t, db).QueryRow(t.Context(), "select description, updated_by from orchestrator.queue_config where config_key = 'max_capacity'").Scan(&description, &by))
	require.Equal(t, "mine by me", description+" by "+by)
}

func TestSetConfigKeepsAnyJSON(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	for key, value := range map[string]any{
		"text": "a", "number": 1.5, "list": []any{1.0, "b"}, "object": map[string]any{"c": nil}, "yes": true, "nothing": nil,
		"raw": json.RawMessage(`{"d": 1}`), strings.Repeat("k", 100): "",
	} {
		require.NoError(t, c.SetConfig(t.Context(), key, value, nil, ""))
		want, err := json.Marshal(value)
		require.NoError(t, err)
		require.JSONEq(t, string(want), settings(t, c)[key])
	}
	require.NoError(t, c.SetConfig(t.Context(), "text", "a", ptr("why"), "ada"))
	read := func() (description, by *string) {
		scan(t, t.Context(), db, "select description, updated_by from orchestrator.queue_config where config_key = 'text'", &description, &by)
		return description, by
	}
	description, by := read()
	require.Equal(t, []string{"why", "ada"}, []string{*description, *by})
	require.NoError(t, c.SetConfig(t.Context(), "text", "b", nil, "bob"))
	description, by = read()
	require.Equal(t, []string{"why", "bob"}, []string{*description, *by}, "nil keeps the description")
	require.NoError(t, c.SetConfig(t.Context(), "text", "b", ptr(""), ""))
	description, by = read()
	require.Empty(t, *description)
	require.Nil(t, by)
}

func TestSetConfigRefusesWhatTheQueueCantUse(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	for _, key := range []string{orchestrator.MaxCapacity, orchestrator.DefaultTimeoutMS, orchestrator.MaxRetries} {
		for _, value := range []any{0, -1, math.MaxInt32 + 1, 1.5, "1", true, nil, []int{1}} {
			err := c.SetConfig(t.Context(), key, value, nil, "")
			require.ErrorIs(t, err, modules.ErrInvalid, "%s = %v", key, value)
			require.ErrorContains(t, err, key+" must be a whole number from 1 to 2147483647")
		}
		for _, value := range []any{1, math.MaxInt32} {
			require.NoError(t, c.SetConfig(t.Context(), key, value, nil, ""))
		}
	}
	for _, value := range []any{"", "lifo", 1, nil} {
		require.ErrorContains(t, c.SetConfig(t.Context(), orchestrator.PriorityMode, value, nil, ""), "priority_mode must be")
	}
	for _, value := range []any{"true", 1, nil} {
		require.ErrorContains(t, c.SetConfig(t.Context(), orchestrator.PersistenceEnabled, value, nil, ""), "persistence_enabled must be true or false")
	}
	for _, value := range []any{true, false} {
		require.NoError(t, c.SetConfig(t.Context(), orchestrator.PersistenceEnabled, value, nil, ""))
	}
	for must, err := range map[string]error{
		"key must not be blank":               c.SetConfig(t.Context(), "", 1, nil, ""),
		"key must be at most 100 bytes":       c.SetConfig(t.Context(), strings.Repeat("k", 101), 1, nil, ""),
		"value must be what JSON can hold":    c.SetConfig(t.Context(), "key", math.NaN(), nil, ""),
		"value must not hold the NUL charact": c.SetConfig(t.Context(), "key", "\x00", nil, ""),
		"description must be text":            c.SetConfig(t.Context(), "key", 1, ptr("\x00"), ""),
		"by must be text":                     c.SetConfig(t.Context(), "key", 1, nil, "\x00"),
	} {
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, must)
	}
	require.NotContains(t, settings(t, c), "key")

	// Whoever writes the table past the client meets the same bounds.
	for key, value := range map[string]string{
		orchestrator.MaxCapacity: "0", orchestrator.DefaultTimeoutMS: `"1"`, orchestrator.MaxRetries: "2147483648",
		orchestrator.PriorityMode: `"lifo"`, orchestrator.PersistenceEnabled: "1",
	} {
		_, err := db.Exec(t.Context(), "insert into orchestrator.queue_config (config_key, config_value) values ('"+key+"', '"+value+
			"') on conflict (config_key) do update set config_value = excluded.config_value")
		require.ErrorIs(t, modules.Classify(err), modules.ErrInvalid, key)
	}
}
