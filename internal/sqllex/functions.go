package sqllex

// tainting lists the functions that change the session or run a text, by name alone: a user's
// function of the same name taints as well. The list was classified from pg_proc of PostgreSQL 14 to
// 18 and from the extensions in PostgreSQL's own contrib. A test finds functions of a server
// that nobody has classified. The arguments decide about set_config and ts_rewrite.
var tainting = map[string]Taint{
	"setseed": Seed,

	"pg_advisory_lock":            AdvisoryLock,
	"pg_advisory_lock_shared":     AdvisoryLock,
	"pg_try_advisory_lock":        AdvisoryLock,
	"pg_try_advisory_lock_shared": AdvisoryLock,
	"pg_advisory_unlock":          AdvisoryLock,
	"pg_advisory_unlock_shared":   AdvisoryLock,
	"pg_advisory_unlock_all":      AdvisoryLock,

	// These functions run a text, given or built from a relation's name.
	"query_to_xml":                  Function,
	"query_to_xmlschema":            Function,
	"query_to_xml_and_xmlschema":    Function,
	"cursor_to_xml":                 Function,
	"cursor_to_xmlschema":           Function,
	"table_to_xml":                  Function,
	"table_to_xmlschema":            Function,
	"table_to_xml_and_xmlschema":    Function,
	"schema_to_xml":                 Function,
	"schema_to_xmlschema":           Function,
	"schema_to_xml_and_xmlschema":   Function,
	"database_to_xml":               Function,
	"database_to_xmlschema":         Function,
	"database_to_xml_and_xmlschema": Function,
	"ts_stat":                       Function,

	// The session's own replication origin, backup or temporary slot.
	"pg_replication_origin_session_setup": Function,
	"pg_replication_origin_session_reset": Function,
	"pg_replication_origin_xact_setup":    Function,
	"pg_replication_origin_xact_reset":    Function,
	"pg_start_backup":                     Function,
	"pg_stop_backup":                      Function,
	"pg_backup_start":                     Function,
	"pg_backup_stop":                      Function,
	"pg_create_physical_replication_slot": Function,
	"pg_create_logical_replication_slot":  Function,
	"pg_copy_physical_replication_slot":   Function,
	"pg_copy_logical_replication_slot":    Function,

	// These functions make objects, in the temporary schema too.
	"pg_import_system_collations":                          Function,
	"binary_upgrade_add_sub_rel_state":                     Function,
	"binary_upgrade_create_empty_extension":                Function,
	"binary_upgrade_logical_slot_has_caught_up":            Function,
	"binary_upgrade_replorigin_advance":                    Function,
	"binary_upgrade_set_missing_value":                     Function,
	"binary_upgrade_set_next_array_pg_type_oid":            Function,
	"binary_upgrade_set_next_heap_pg_class_oid":            Function,
	"binary_upgrade_set_next_heap_relfilenode":             Function,
	"binary_upgrade_set_next_index_pg_class_oid":           Function,
	"binary_upgrade_set_next_index_relfilenode":            Function,
	"binary_upgrade_set_next_multirange_array_pg_type_oid": Function,
	"binary_upgrade_set_next_multirange_pg_type_oid":       Function,
	"binary_upgrade_set_next_pg_authid_oid":                Function,
	"binary_upgrade_set_next_pg_enum_oid":                  Function,
	"binary_upgrade_set_next_pg_tablespace_oid":            Function,
	"binary_upgrade_set_next_pg_type_oid":                  Function,
	"binary_upgrade_set_next_toast_pg_class_oid":           Function,
	"binary_upgrade_set_next_toast_relfilenode":            Function,
	"binary_upgrade_set_record_init_privs":                 Function,

	// Extension dblink: the functions run texts, and the connections last as long as the
	// session.
	"dblink":                  Function,
	"dblink_connect":          Function,
	"dblink_connect_u":        Function,
	"dblink_disconnect":       Function,
	"dblink_exec":             Function,
	"dblink_open":             Function,
	"dblink_fetch":            Function,
	"dblink_close":            Function,
	"dblink_send_query":       Function,
	"dblink_get_result":       Function,
	"dblink_cancel_query":     Function,
	"dblink_get_notify":       Function,
	"dblink_is_busy":          Function,
	"dblink_error_message":    Function,
	"dblink_get_connections":  Function,
	"dblink_current_query":    Function,
	"dblink_get_pkey":         Function,
	"dblink_build_sql_insert": Function,
	"dblink_build_sql_update": Function,
	"dblink_build_sql_delete": Function,

	// Extensions tablefunc and xml2: the functions run texts.
	"crosstab":    Function,
	"crosstab2":   Function,
	"crosstab3":   Function,
	"crosstab4":   Function,
	"crosstabn":   Function,
	"connectby":   Function,
	"xpath_table": Function,

	// Extensions pg_trgm and isn: a setting, and a switch that no RESET turns back.
	"set_limit": Settings,
	"isn_weak":  Function,
}

// guardedSettings decide about a transaction's rights and visible rows, or about the server's
// reading of a text. A key is a setting's name or the first part of a name. SET LOCAL of a
// guarded setting is not plain.
var guardedSettings = map[string]Taint{
	"role":                        Role,
	"session_authorization":       Role,
	"app":                         Settings,
	"row_security":                Settings,
	"standard_conforming_strings": Settings,
	"backslash_quote":             Settings,
	"client_encoding":             Settings,
	"names":                       Settings, // SET NAMES is client_encoding
}

// readingSettings decide how the server reads a text. A set_config of a reading setting is not
// plain, not even for the transaction only.
var readingSettings = map[string]bool{"standard_conforming_strings": true, "backslash_quote": true, "client_encoding": true}
