package lifecycle

// settings are the names under which the user of the program sets the fields of Config. See
// Config.Settings.
type settings map[string]string

// name returns the name of the setting for a field.
func (s settings) name(field string) string {
	if name, ok := s[field]; ok {
		return name
	}
	return field
}

func (m *Monitor) settings() settings { return m.cfg.Settings }
