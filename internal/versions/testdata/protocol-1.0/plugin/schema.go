package plugin

import "encoding/json"

// Schema describes the config block of a plugin: what the host checks an
// operator's config against, and what `plugin describe` prints. Plugins
// written in Go have theirs derived from a struct (see SchemaOf).
type Schema struct {
	Attributes []Attribute `json:"attributes,omitempty"`
	Blocks     []Block     `json:"blocks,omitempty"`
}

// Attribute is one "name = value" of a config block.
type Attribute struct {
	Name string `json:"name"`
	// Type is a cty type in cty's JSON form: "string", "number", "bool",
	// ["list","string"], ["map","string"], ["set",…], ["object",{…}].
	Type json.RawMessage `json:"type"`
	// Required attributes have no default.
	Required bool `json:"required,omitempty"`
	// Default is what an absent attribute means, for people: the plugin
	// applies it.
	Default string `json:"default,omitempty"`
	// Doc is a sentence for people.
	Doc string `json:"doc,omitempty"`
	// Sensitive values are never printed.
	Sensitive bool `json:"sensitive,omitempty"`
}

// Block is a nested block of a config block.
type Block struct {
	// Type is the block's keyword.
	Type string `json:"type"`
	// Labels names the labels that follow the keyword.
	Labels []string `json:"labels,omitempty"`
	// Repeated blocks may stand any number of times, and travel as a list of
	// objects; others at most once, as one object.
	Repeated bool `json:"repeated,omitempty"`
	// Required blocks stand at least once.
	Required bool   `json:"required,omitempty"`
	Doc      string `json:"doc,omitempty"`
	Schema   Schema `json:"schema"`
}
