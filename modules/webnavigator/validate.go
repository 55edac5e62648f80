package webnavigator

import "github.com/agentagency/onepool/modules/internal/check"

// maxURL is the largest URL that fits into an index beside a tenant and a hash, in bytes.
const maxURL = 2048

func checkURL(field, url string) error { return check.Text(field, url, maxURL) }
