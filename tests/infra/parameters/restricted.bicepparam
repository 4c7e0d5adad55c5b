// Used from the hospital's addresses only, with settings and tags of its own.
using '../../../infra/main.bicep'

param environmentName = 'prod'
param location = 'westeurope'
param audience = 'api://11111111-2222-3333-4444-555555555555'
param allowedAddresses = '203.0.113.0/24, 198.51.100.7/32,'
param corsOrigins = 'https://viewer.example.org'
param alertEmail = 'operator@example.org'
param availabilityTest = true
param tags = {
  department: 'radiology'
}
param moreSettings = {
  MAX_REQUEST_BYTES: '1073741824'
  AUDIENCE: 'https://management.azure.com'
  TRUST_FORWARDED: 'false'
}
