module github.com/kinesiskit/kinesiskit/internal/interop

go 1.25.0

require (
	github.com/aws/aws-sdk-go-v2/service/kinesis v1.56.10
	github.com/awslabs/kinesis-aggregation/go/v2 v2.0.0-20230808105340-e631fe742486
	github.com/golang/protobuf v1.5.2
	github.com/kinesiskit/kinesiskit v0.0.0
)

require (
	github.com/aws/smithy-go v1.28.8 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace github.com/kinesiskit/kinesiskit => ../..
