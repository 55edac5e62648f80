package sqllex_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/sqllex"
)

func TestSetsTransaction(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]bool{
		"set transaction read only":                                  true,
		"/* a */ SET -- b\n LOCAL Transaction isolation level x":     true,
		"set session transaction read write":                         true,
		"set transaction snapshot '1'":                               true,
		"set transaction_isolation = 'serializable'":                 true,
		`set local "Transaction_Read_Only" to on`:                    true,
		"set session transaction_deferrable = on":                    true,
		"set transaction.x = 1":                                      false,
		"set transaction_isolation.x = 1":                            false,
		"set session characteristics as transaction read only":       false,
		"set constraints all deferred":                               false,
		"set local default_transaction_isolation = 'serializable'":   false,
		"reset transaction_isolation":                                false,
		"set":                                                        false,
		"set local":                                                  false,
		"select 'set transaction read only'":                         false,
		"lock t":                                                     false,
		"start transaction read only":                                false,
		"set u&\"transaction\" = 1":                                  false,
		"set local u&\"transaction_isolation\" to 'repeatable read'": false,
	} {
		all := sqllex.Statements(sql)
		require.Len(t, all, 1, sql)
		require.Equal(t, want, all[0].SetsTransaction(), sql)
	}
}

func TestSavepoint(t *testing.T) {
	t.Parallel()
	type savepoint struct {
		verb sqllex.SavepointVerb
		name string
	}
	long := strings.Repeat("s", 63)
	for sql, want := range map[string]savepoint{
		"savepoint s":                              {sqllex.SetSavepoint, "s"},
		"/* a */ SAVEPOINT -- b\n S":               {sqllex.SetSavepoint, "s"},
		`savepoint "S 1"`:                          {sqllex.SetSavepoint, "S 1"},
		"savepoint savepoint":                      {sqllex.SetSavepoint, "savepoint"},
		"savepoint " + long:                        {sqllex.SetSavepoint, long},
		"savepoint " + long + "s":                  {},
		"savepoint é":                              {},
		`savepoint "a""b"`:                         {},
		"savepoint":                                {},
		"release S":                                {sqllex.ReleaseSavepoint, "s"},
		"release savepoint s":                      {sqllex.ReleaseSavepoint, "s"},
		"release savepoint":                        {sqllex.ReleaseSavepoint, "savepoint"},
		"rollback to s":                            {sqllex.RollBackToSavepoint, "s"},
		"ROLLBACK WORK TO SAVEPOINT s":             {sqllex.RollBackToSavepoint, "s"},
		"rollback transaction to savepoint \"S\" ": {sqllex.RollBackToSavepoint, "S"},
		"rollback":                                 {},
		"rollback and chain":                       {},
		"select 1":                                 {},
	} {
		all := sqllex.Statements(sql)
		require.Len(t, all, 1, sql)
		verb, name := all[0].Savepoint()
		require.Equal(t, want, savepoint{verb, name}, sql)
	}
}
