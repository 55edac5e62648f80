// Package measure holds the measuring tools of the example programs: quantiles, paired ratios,
// tables, charts, and the server's own view of connections, memory and processor time. The package
// is no part of the library.
package measure
