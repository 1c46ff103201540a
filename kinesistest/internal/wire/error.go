// Package wire is the JSON protocol that both services speak: how a request names its operation, how an answer and a modelled
// exception are written so that the SDK decodes them.
package wire

// Error is a modelled exception: what the SDK's typed error is decoded from.
type Error struct {
	Code    string         // e.g. "ResourceNotFoundException"
	Message string         // as the service words it
	Status  int            // HTTP status; 0 means 400
	Members map[string]any // further members of the exception, e.g. "Item" of a failed condition
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }
