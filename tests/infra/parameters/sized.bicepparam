// Every number that is handed on, each another one; an authority without a private network.
using '../../../infra/main.bicep'

param environmentName = 'prod'
param location = 'northeurope'
param audience = 'api://11111111-2222-3333-4444-555555555555'
param authority = 'https://sign-in.example.org'
param viewer = true
param corsOrigins = 'https://other.example.org'
param instanceMemoryMB = 4096
param requestsPerInstance = 7
param maximumInstances = 90
param alwaysReadyInstances = 3
param softDeleteDays = 21
param operationRetentionDays = 90
param subscriptionHosts = 'events.example.org,10.1.0.0/16'
param alertEmail = 'operator@example.org'
param alertLatencySeconds = 12
param alertCapacityGiB = 100
param alertEgressGiB = 50
param moreSettings = {
  MAX_REQUEST_SECONDS: '600'
}
