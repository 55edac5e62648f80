package sqllex_test

import (
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
