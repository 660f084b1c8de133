package plugin

import (
	"encoding/json"

	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

func schemaToWire(s Schema) *pb.Schema {
	w := &pb.Schema{}
	for _, a := range s.Attributes {
		w.Attributes = append(w.Attributes, &pb.Attribute{
			Name: a.Name, Type: string(a.Type), Required: a.Required, Default: a.Default, Doc: a.Doc, Sensitive: a.Sensitive,
		})
	}
	for _, b := range s.Blocks {
		w.Blocks = append(w.Blocks, &pb.Block{
			Type: b.Type, Labels: b.Labels, Repeated: b.Repeated, Required: b.Required, Doc: b.Doc, Schema: schemaToWire(b.Schema),
		})
	}
	return w
}

func schemaFromWire(w *pb.Schema) Schema {
	var s Schema
	for _, a := range w.GetAttributes() {
		s.Attributes = append(s.Attributes, Attribute{
			Name: a.GetName(), Type: json.RawMessage(a.GetType()), Required: a.GetRequired(),
			Default: a.GetDefault(), Doc: a.GetDoc(), Sensitive: a.GetSensitive(),
		})
	}
	for _, b := range w.GetBlocks() {
		s.Blocks = append(s.Blocks, Block{
			Type: b.GetType(), Labels: b.GetLabels(), Repeated: b.GetRepeated(), Required: b.GetRequired(),
			Doc: b.GetDoc(), Schema: schemaFromWire(b.GetSchema()),
		})
	}
	return s
}
