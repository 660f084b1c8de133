package plugin

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/atom-router/atom-router/internal/wire/wiretest"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

func TestSchemasTravel(t *testing.T) {
	schema := wiretest.Filled[Schema](t)
	if diff := cmp.Diff(schema, schemaFromWire(wiretest.Again(t, schemaToWire(schema)))); diff != "" {
		t.Errorf("it lost something on the wire (-sent +got):\n%s", diff)
	}
	message := wiretest.FilledMessage(&pb.Schema{})
	if got := schemaToWire(schemaFromWire(message)); !proto.Equal(message, got) {
		t.Errorf("sent %v, got %v", message, got)
	}
}
