package firehose

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func update(version, destination string) string {
	return `{"DeliveryStreamName":"hose","CurrentDeliveryStreamVersionId":"` + version + `","DestinationId":"destinationId-000000000001",` + destination + `}`
}

func TestAnUpdateMergesWhatItGives(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		ok(t, s, "CreateDeliveryStream", `{"DeliveryStreamName":"hose","ExtendedS3DestinationConfiguration":{"RoleARN":"`+role+`","BucketARN":"`+bucket1+`",
			"Prefix":"p/","CompressionFormat":"GZIP","S3BackupMode":"Enabled","S3BackupConfiguration":`+s3+`}}`)
		time.Sleep(time.Minute)
		ok(t, s, "UpdateDestination", update("1", `"ExtendedS3DestinationUpdate":{"BucketARN":"`+bucket2+`","Prefix":null,
			"BufferingHints":{"SizeInMBs":1,"IntervalInSeconds":60},"S3BackupUpdate":{"Prefix":"b/"}}`))
		d := describe(t, s, "hose")
		want(t, at(t, d, "VersionId"), `"2"`)
		want(t, at(t, d, "LastUpdateTimestamp"), `946684860`)
		extended := at(t, d, "Destinations", "ExtendedS3DestinationDescription")
		for name, expected := range map[string]string{
			"RoleARN": `"` + role + `"`, "BucketARN": `"` + bucket2 + `"`, "Prefix": `"p/"`, "CompressionFormat": `"GZIP"`,
			"BufferingHints": `{"IntervalInSeconds":60,"SizeInMBs":1}`, "S3BackupMode": `"Enabled"`,
		} {
			want(t, at(t, extended, name), expected)
		}
		backup := at(t, extended, "S3BackupDescription")
		want(t, at(t, backup, "BucketARN"), `"`+bucket1+`"`)
		want(t, at(t, backup, "Prefix"), `"b/"`)
		want(t, at(t, backup, "CompressionFormat"), `"UNCOMPRESSED"`)

		// The old form of an S3 destination is the same destination.
		ok(t, s, "UpdateDestination", update("2", `"S3DestinationUpdate":{"Prefix":"q/"}`))
		to := at(t, describe(t, s, "hose"), "Destinations")
		want(t, at(t, to, "S3DestinationDescription", "Prefix"), `"q/"`)
		want(t, at(t, to, "ExtendedS3DestinationDescription", "S3BackupMode"), `"Enabled"`)
		want(t, at(t, to, "S3DestinationDescription", "S3BackupMode"), `null`)
		refused(t, s, "UpdateDestination", update("3", `"ExtendedS3DestinationUpdate":{"S3BackupMode":"Disabled"}`), "InvalidArgumentException", "S3BackupMode")
	})
}

func TestAnUpdateNeedsTheCurrentVersionAndTheDestination(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		ok(t, s, "CreateDeliveryStream", hose)
		const change = `"S3DestinationUpdate":{"Prefix":"q/"}`
		ok(t, s, "UpdateDestination", update("1", change))
		refused(t, s, "UpdateDestination", update("1", change), "ConcurrentModificationException",
			"Cannot update firehose: hose since the current version id: 2 and specified version id: 1 do not match")
		refused(t, s, "UpdateDestination", strings.Replace(update("2", change), "Id-000000000001", "Id-9", 1), "InvalidArgumentException",
			"Destination Id destinationId-9 not found")
		refused(t, s, "UpdateDestination", update("x", change), "ValidationException", "currentDeliveryStreamVersionId", "[0-9]+")
		refused(t, s, "UpdateDestination", `{`+change+`}`, "ValidationException", "3 validation errors")
		refused(t, s, "UpdateDestination", update("2", `"S3DestinationUpdate":{"BucketARN":"x"}`), "ValidationException", "'s3DestinationUpdate.bucketARN'")
		refused(t, s, "UpdateDestination", update("2", `"Other":1`), "InvalidArgumentException", "Exactly one")
		refused(t, s, "UpdateDestination", strings.Replace(update("2", change), "hose", "none", 1), "ResourceNotFoundException")
		want(t, at(t, describe(t, s, "hose"), "VersionId"), `"2"`)
	})
}

func TestAnotherKindOfDestinationReplacesTheWhole(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		ok(t, s, "CreateDeliveryStream", hose)
		const redshift = `"RedshiftDestinationUpdate":{"RoleARN":"` + role + `","ClusterJDBCURL":"jdbc:x","CopyCommand":{"DataTableName":"t"},
			"Username":"u","Password":"secret","S3Update":{"RoleARN":"` + role + `","BucketARN":"` + bucket2 + `"}}`
		for _, missing := range []string{`"ClusterJDBCURL":"jdbc:x",`, `,"BucketARN":"` + bucket2 + `"`} {
			refused(t, s, "UpdateDestination", update("1", strings.Replace(redshift, missing, "", 1)), "InvalidArgumentException", "all required parameters")
		}
		ok(t, s, "UpdateDestination", update("1", redshift))
		to := at(t, describe(t, s, "hose"), "Destinations")
		want(t, at(t, to, "ExtendedS3DestinationDescription"), `null`)
		want(t, at(t, to, "S3DestinationDescription"), `null`)
		want(t, at(t, to, "RedshiftDestinationDescription", "S3DestinationDescription", "BucketARN"), `"`+bucket2+`"`)

		for _, k := range []string{"Elasticsearch", "Amazonopensearchservice", "AmazonOpenSearchServerless", "HttpEndpoint"} {
			refused(t, s, "UpdateDestination", update("2", `"`+k+`DestinationUpdate":{}`), "InvalidArgumentException",
				"Changing the destination type to or from "+k+" is not supported at this time.")
		}
	})
}

// Each kind is described under its own name, without what is secret, and with its S3 part under the name that descriptions have.
func TestEveryKindOfDestinationIsKept(t *testing.T) {
	bubble(t, func(t *testing.T, s *Service) {
		for _, k := range kinds {
			name := strings.ToLower(k.name)
			given := map[string]any{"Password": "secret", "PrivateKey": "secret", "RoleARN": role, "BucketARN": bucket1,
				"EndpointConfiguration": map[string]string{"Url": "https://x", "AccessKey": "secret"}}
			for _, member := range k.required {
				switch member {
				case "S3Configuration":
					given[member] = json.RawMessage(s3)
				case "CopyCommand", "CatalogConfiguration":
					given[member] = map[string]string{"Kept": "as given"}
				case "RoleARN", "BucketARN", "EndpointConfiguration":
				default:
					given[member] = "x"
				}
			}
			raw, _ := json.Marshal(map[string]any{"DeliveryStreamName": name, k.name + "DestinationConfiguration": given})
			ok(t, s, "CreateDeliveryStream", string(raw))
			to := at(t, describe(t, s, name), "Destinations", k.name+"DestinationDescription")
			text, _ := json.Marshal(to)
			if strings.Contains(string(text), "secret") {
				t.Errorf("%s shows its secrets: %s", k.name, text)
			}
			for _, member := range k.required {
				if other, ok := described[member]; ok {
					member = other
				}
				if at(t, to, member) == nil {
					t.Errorf("%s has lost %s: %s", k.name, member, text)
				}
			}
		}
	})
}
