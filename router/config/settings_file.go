package config

import (
	"bytes"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/atom-router/atom-router/router"
)

// ReadSettings reads a file that holds what may stand in a backend's config
// block, and nothing else: for examining a plugin without a config around it.
// As with Read, its settings are checked when a plugin's schema is known, by
// their Decode. An empty file is an empty block.
func ReadSettings(path string) (router.Settings, Diagnostics) {
	s := &source{name: path}
	text, err := read(path)
	if err != nil {
		return nil, Diagnostics{{
			Severity: router.SeverityError,
			Summary:  "the settings cannot be read: " + err.Error(),
			Range:    s.start(),
			source:   s,
		}}
	}
	s.text = text
	d := newDecoder(s)
	body := &hclsyntax.Body{}
	if len(bytes.TrimSpace(text)) > 0 {
		if body = d.parse(); body == nil {
			return nil, d.diags.sorted()
		}
	}
	return &settings{decoder: d, body: body, header: s.start()}, nil
}
