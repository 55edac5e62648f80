// Package measure is what the example programs measure with: quantiles, paired
// ratios, tables, charts, and the server's own view of its connections, memory
// and processor time. It is no part of the library.
package measure
